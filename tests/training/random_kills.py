"""A training that is killed at random against one that isn't.

`python -m tests.training.random_kills` runs `geovr train` on artifacts that stand (those of
`make demo`, say) once as it is and once with SIGKILL to all its processes, so many times, at
moments drawn at random; then it compares the exported weights byte by byte.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from geovr.storage import sha256_file
from tests.workspace import BIN


@dataclass(frozen=True)
class Job:
    """What is trained, and where."""

    params: Path
    clips: Path
    targets: Path
    settings: tuple[str, ...]

    def start(self, root: Path) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own, with a store below `root`."""
        command = [
            str(BIN / "geovr"), "train", "--params", str(self.params), "--clips", str(self.clips),
            "--targets", str(self.targets), "--output", str(root / "checkpoint"),
            "--set", f"store={root / 'store'}",
        ]  # fmt: skip
        for setting in self.settings:
            command += ["--set", setting]
        environment = os.environ | {"GEOVR_HOME": str(root / "home"), "HF_HUB_OFFLINE": "1"}
        with (root / "log").open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def finish(self, root: Path) -> None:
        """Run it to its end."""
        if self.start(root).wait() != 0:
            raise SystemExit(f"geovr train failed:\n{(root / 'log').read_text()[-3000:]}")


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to it and to all that it started, also in process groups of their own."""
    import psutil

    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in children:
        try:
            os.kill(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
    psutil.wait_procs(children, timeout=30)


def newest_step(root: Path) -> int:
    """The newest complete checkpoint, 0 without any."""
    found = root.glob("store/training/*/steps/*/manifest.json")
    return max((int(path.parent.name) for path in found), default=0)


def exported(root: Path) -> str:
    """sha256 of the exported weights."""
    (weights,) = root.glob("store/training/*/export/model.safetensors")
    return sha256_file(weights)


def compare(job: Job, kills: int, seed: int, scratch: Path) -> tuple[str, str, list[int]]:
    """Digests of both trainings, and the checkpoints that the kills left behind."""
    whole, killed = scratch / "whole", scratch / "killed"
    for root in (whole, killed):
        root.mkdir()
    began = time.monotonic()
    job.finish(whole)
    last, seconds = newest_step(whole), time.monotonic() - began
    draw, steps = random.Random(seed), []
    # not before some step's checkpoint stands, and up to two steps' time after
    for target in sorted(draw.randrange(last * 9 // 10) for _ in range(kills)):
        process = job.start(killed)
        while newest_step(killed) < target and process.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 2 * seconds / last))
        if process.poll() is not None:
            raise SystemExit(
                f"the training ended by itself:\n{(killed / 'log').read_text()[-3000:]}"
            )
        kill_all(process)
        steps.append(newest_step(killed))
        print(f"killed; the newest checkpoint is of step {steps[-1]} of {last}", flush=True)
    job.finish(killed)
    return exported(whole), exported(killed), steps


def main() -> None:
    """Print both digests; exit with 1 when they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--clips", type=Path, default=Path("artifacts/clips"))
    parser.add_argument("--targets", type=Path, default=Path("artifacts/targets"))
    parser.add_argument("--set", action="append", default=[], help="of geovr train")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    job = Job(options.params, options.clips, options.targets, tuple(options.set))
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed, _ = compare(job, options.kills, options.seed, Path(scratch))
    print(f"uninterrupted {whole}\nkilled {options.kills}x    {killed}")
    if whole != killed:
        raise SystemExit("the weights differ")


if __name__ == "__main__":
    main()
