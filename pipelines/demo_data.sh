# Sourced by the demos: renders the rooms and makes the small model. With SMALL=1 few scenes, to see that
# everything runs, not that anything is learnt; `settings` then points every stage at them.
data=data/rooms scenes=() settings=()
if [[ -n "${SMALL:-}" ]]; then
  data=data/small
  scenes=(--scenes 48+16)
  settings=(
    --set ingest.videos=data/small/videos
    --set "ingest.questions=[{path: data/small/train_questions.jsonl, split: train}, {path: data/small/test_questions.jsonl, split: test}]"
    --set extract_targets.oracle.ground_truth=data/small/ground_truth
    --set evaluate.geometry.ground_truth=data/small/ground_truth
    --set experiment=geovr-small
  )
fi

geovr simulate --preset demo --output "$data" "${scenes[@]}"
geovr init-model --preset study --output .geovr/models/study
