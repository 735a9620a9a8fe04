"""`--json`: stdout holds exactly one JSON object, of success or failure; the rest is on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object; everything else goes to stderr.")
]
_asked = False


def asked() -> bool:
    """Whether this command is to answer in JSON, also when it fails."""
    return _asked


def start(wanted: bool) -> None:
    """Say at a command's start whether it answers in JSON."""
    global _asked
    _asked = wanted


def tell(values: Mapping[str, Any]) -> None:
    """Print the object that the command answers with."""
    print(json.dumps(values, indent=1, default=str), flush=True)


def tell_failure(error: Exception, exit_code: int) -> None:
    """What a failed command answers."""
    status = {3: "refused", 75: "interrupted"}.get(exit_code, "failed")
    told = {"status": status, "error": type(error).__name__, "message": str(error)}
    tell({**told, "exit_code": exit_code})


@contextlib.contextmanager
def quiet_stdout(wanted: bool) -> Iterator[None]:
    """What is printed in the block, also by libraries and child processes, goes to stderr."""
    if not wanted:
        yield
        return
    sys.stdout.flush()
    try:
        real = sys.stdout.fileno()
    except (OSError, ValueError):  # a test's or a notebook's
        with contextlib.redirect_stdout(sys.stderr):
            yield
        return
    kept = os.dup(real)
    try:
        os.dup2(sys.stderr.fileno(), real)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, real)
        os.close(kept)
