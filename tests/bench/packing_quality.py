"""What packing does to quality at equal questions: `python -m tests.bench.packing_quality`.

Trains k = 1 and k = K for each seed on artifacts that stand (those of `make demo`, say), with
equally many questions in every step, and evaluates both. Packed, a step sees K times fewer clips,
so its gradient is of questions that resemble each other; what that costs is measured here.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.workspace import BIN


def geovr(home: Path, *arguments: str) -> None:
    """Run the command line, in this directory."""
    environment = os.environ | {"GEOVR_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [str(BIN / "geovr"), *arguments], env=environment, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr[-3000:])


def measure(options: argparse.Namespace, k: int, seed: int) -> dict[str, float]:
    """Train and evaluate one arm; what stands from an earlier call is used."""
    root = options.output / f"k{k}-seed{seed}"
    clips = options.questions // k
    settings = [
        f"store={root / 'store'}", f"train.seed={seed}", f"train.questions_per_clip={k}",
        f"train.clips_per_batch={clips}", f"train.steps={options.steps}",
        f"experiment=packing-{k}", "train.launch.scheduler=inline",
        "evaluate.launch.scheduler=inline", "evaluate.blanked=false",
    ]  # fmt: skip
    common = ["--params", str(options.params)]
    for setting in settings:
        common += ["--set", setting]
    inputs = ["--clips", str(options.clips)]
    checkpoint, evaluation = root / "checkpoint", root / "evaluation"
    geovr(root, "train", *common, *inputs, "--targets", str(options.targets),
          "--output", str(checkpoint))  # fmt: skip
    geovr(root, "evaluate", *common, *inputs, "--checkpoint", str(checkpoint),
          "--output", str(evaluation))  # fmt: skip
    headline = json.loads((evaluation / "manifest.json").read_text())["details"]["headline"]
    lines = (checkpoint / "curve.jsonl").read_text().splitlines()
    last = [json.loads(line) for line in lines][-max(1, options.steps // 10) :]
    terms = {name for line in last for name in line if name.startswith("loss/")}
    means = {name: statistics.fmean(line[name] for line in last) for name in sorted(terms)}
    return {"score": 100 * float(headline), **means}


def main() -> None:
    """Print each run, and the difference of the arms over seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--clips", type=Path, default=Path("artifacts/clips"))
    parser.add_argument("--targets", type=Path, default=Path("artifacts/targets"))
    parser.add_argument("--output", type=Path, required=True, help="directory; a rerun goes on")
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--questions", type=int, default=64, help="of every step, in both arms")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    runs: dict[int, list[dict[str, Any]]] = {1: [], options.k: []}
    for seed in options.seeds:
        for k, told in runs.items():
            told.append(measure(options, k, seed))
            values = ", ".join(f"{name} {value:.3f}" for name, value in told[-1].items())
            print(f"seed {seed}, k = {k}: {values}", flush=True)
    print(f"\n{options.steps} steps of {options.questions} questions; k = {options.k} minus k = 1")
    for name in runs[1][0]:
        pairs = zip(runs[options.k], runs[1], strict=True)
        differences = [packed[name] - single[name] for packed, single in pairs]
        mean = statistics.fmean(differences)
        print(f"{name}: {mean:+.3f} [{min(differences):+.3f}, {max(differences):+.3f}]")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
