#!/usr/bin/env bash
# `make demo-promotion`: three models on the demo's data, of few, of more and of hardly any steps.
# The one trained longer replaces the champion, the one of 5 steps stays challenger, and the way back
# is tried. Clips and targets of `make demo` are found in the store. SMALL=1 takes the small demo's data.
set -euo pipefail

few=100 more=400 hardly=5
if [[ -n "${SMALL:-}" ]]; then
  few=5 more=80 hardly=1
fi
source "${BASH_SOURCE%/*}/demo_data.sh"
name=geovr-promotion${SMALL:+-small} root=artifacts/promotion${SMALL:+-small}

stage() { geovr "$1" "${@:2}" "${settings[@]}" --set "register.model_name=$name"; }

stage ingest --output "$root/clips"
stage check_clips --clips "$root/clips" --output "$root/clips_report"
stage extract_targets --clips "$root/clips" --output "$root/targets"
stage check_targets --clips "$root/clips" --targets "$root/targets" --output "$root/targets_report"

trained() {
  echo "=== a model of $1 steps ==="
  local to="$root/$1"
  stage train --clips "$root/clips" --targets "$root/targets" --set "train.steps=$1" --output "$to/checkpoint"
  stage evaluate --clips "$root/clips" --checkpoint "$to/checkpoint" --output "$to/evaluation"
  stage register --checkpoint "$to/checkpoint" --evaluation "$to/evaluation" --output "$to/model_version"
}
trained "$few"
trained "$more"
grep -q '"approved": true' "$root/$more/model_version/decision.json"
trained "$hardly"

echo "=== geovr promote: the last one, asked for again ==="
code=0
geovr promote --model "$name" || code=$?
echo "exit code $code"
[[ $code == 3 ]]

echo "=== geovr rollback, and back ==="
geovr rollback --model "$name"
geovr rollback --model "$name"
echo "See versions, aliases and tags:  mlflow ui --backend-store-uri sqlite:///.geovr/mlflow.db"
