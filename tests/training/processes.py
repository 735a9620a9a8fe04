"""train() in processes of its own, started, killed and looked at from outside."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from geovr.artifacts import Checkpoint
from tests.training.conftest import Prepared, Result
from tests.workspace import BIN, environment

DRIVE = str(Path(__file__).with_name("drive.py"))
PYTHON = (str(BIN / "python"),)


def torchrun(ranks: int, *options: str) -> tuple[str, ...]:
    """The program that starts so many ranks on this machine."""
    return (str(BIN / "torchrun"), "--standalone", "--nproc-per-node", str(ranks), *options)


def start(
    prepared: Prepared,
    root: Path,
    *program: str,
    script: str = DRIVE,
    arguments: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
    **changes: Any,
) -> subprocess.Popen[str]:
    """Start it in a process group of its own."""
    root.mkdir(exist_ok=True)
    (root / "config.json").write_text(json.dumps(prepared.values(root, **changes)))
    return subprocess.Popen(
        [*program, script, "config.json", str(prepared.clips.directory),
         str(prepared.targets.directory), "checkpoint", *arguments],
        cwd=root, env=environment(root) | (env or {}), start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def run(prepared: Prepared, root: Path, *program: str, **changes: Any) -> Result:
    """Run it to its end, which must be a good one."""
    process = start(prepared, root, *program, **changes)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return Result.of(Checkpoint.load(root / "checkpoint"), root)
