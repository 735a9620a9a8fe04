#!/usr/bin/env bash
# `make demo`: render rooms, make a tiny model, version the data, and run the pipeline on them.
# SMALL=1 takes a few scenes and steps, to see that everything runs, not that anything is learnt.
set -euo pipefail

data=data/rooms scenes=() settings=()
if [[ -n "${SMALL:-}" ]]; then
  data=data/small
  scenes=(--scenes 48+16)
  settings=(
    --set ingest.videos=data/small/videos
    --set "ingest.questions=[{path: data/small/train_questions.jsonl, split: train}, {path: data/small/test_questions.jsonl, split: test}]"
    --set extract_targets.oracle.ground_truth=data/small/ground_truth
    --set evaluate.geometry.ground_truth=data/small/ground_truth
    --set train.steps=20
    --set experiment=geovr-small
    --set register.model_name=geovr-small
  )
fi

geovr simulate --preset demo --output "$data" "${scenes[@]}"
geovr init-model --preset tiny --output .geovr/models/tiny
for tracked in videos ground_truth train_questions.jsonl test_questions.jsonl; do
  dvc add --quiet "$data/$tracked"
done
python -m pipelines run --local "${settings[@]}"
