#!/usr/bin/env bash
# `make demo`: render rooms, make a small model, version the data, and run the pipeline on them.
# SMALL=1 takes a few scenes and steps.
set -euo pipefail

source "${BASH_SOURCE%/*}/demo_data.sh"
if [[ -n "${SMALL:-}" ]]; then
  settings+=(--set train.steps=20 --set register.model_name=geovr-small)
fi
for tracked in videos ground_truth train_questions.jsonl test_questions.jsonl; do
  dvc add --quiet "$data/$tracked"
done
python -m pipelines run --local "${settings[@]}"
