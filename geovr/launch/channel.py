"""What launcher and workers tell each other, as objects in one directory or s3:// prefix.

No value of a config or a path reaches a shell, and torchrun keeps no exit codes: what a worker is
to do and how it ended travel here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from geovr import errors
from geovr.config import Config
from geovr.storage import Store, write_atomic

ERRORS: dict[str, type[Exception]] = {
    "UserError": errors.UserError,
    "GateRefused": errors.GateRefused,
    "Interrupted": errors.Interrupted,
}
FINAL = ("UserError", "GateRefused")
"""Another try would end the same way."""


class Work(Config):
    """What the ranks of a job are to do."""

    stage: str
    config: dict[str, Any]
    inputs: dict[str, str]
    output: str | None = None
    """Directory that launcher and workers both see; None: it travels through the channel."""
    directory: str | None = None
    """Working directory, for paths that are relative to the launcher's."""
    launcher_pid: int | None = None
    """Process without which workers end; None where it runs on another machine."""


class Told(Config):
    """How a rank failed."""

    error: str
    message: str

    @property
    def final(self) -> bool:
        """Whether another try would end the same way."""
        return self.error in FINAL

    def exception(self) -> Exception:
        """The exception that the rank raised."""
        return ERRORS[self.error](self.message)


class Channel:
    """The job's place."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._store = Store.open(place)

    def start(self, work: Work) -> None:
        """Say what is to be done; what an earlier job of this name left is removed."""
        for key in self._store.keys(""):
            if not key.startswith("inputs/"):
                self._store.remove(key)
        self._store.put("work.json", work.model_dump_json().encode())

    def work(self) -> Work:
        """What is to be done."""
        return Work.model_validate_json(self._store.get("work.json"))

    def put_input(self, name: str, directory: Path) -> str:
        """Hand a small directory to workers that can't see it; gives its URI."""
        self._store.put_directory(f"inputs/{name}", directory)
        return self._store.uri_of(f"inputs/{name}")

    def tell(self, error: Exception) -> None:
        """Say how a rank failed; the first that no restart can heal is kept."""
        told = self.told()
        if told is None or not told.final:
            value = Told(error=type(error).__name__, message=str(error))
            self._store.put("told.json", value.model_dump_json().encode())

    def told(self) -> Told | None:
        """How a rank failed, when one said so."""
        if not self._store.exists("told.json"):
            return None
        return Told.model_validate_json(self._store.get("told.json"))

    def put_agent(self, node: int, pid: int) -> None:
        """Say that a node's agent has started."""
        self._store.put(f"agents/{node}", str(pid).encode())

    def agents(self) -> dict[int, int]:
        """Node -> process of the agents that have started."""
        keys = self._store.keys("agents")
        return {int(key.rpartition("/")[2]): int(self._store.get(key)) for key in keys}

    def put_exit_code(self, node: int, code: int) -> None:
        """Say how a node's agent ended; an agent that says nothing was lost."""
        self._store.put(f"exit-codes/{node}", str(code).encode())

    def exit_codes(self, nodes: int) -> list[int | None]:
        """How each node's agent ended; None for a lost one."""
        keys = [f"exit-codes/{node}" for node in range(nodes)]
        return [int(self._store.get(k)) if self._store.exists(k) else None for k in keys]

    def put_first_node(self, node: int) -> None:
        """Say on which node rank 0 is; the rendezvous decides that, not the scheduler."""
        self._store.put("rank-0-node", str(node).encode())

    def first_node(self) -> int:
        """The node of rank 0; 0 as long as nobody said."""
        key = "rank-0-node"
        return int(self._store.get(key)) if self._store.exists(key) else 0

    def put_output(self, directory: Path) -> None:
        """Hand the artifact to the launcher."""
        files = self._store.put_directory("output", directory)
        self._store.put("output.json", json.dumps(files).encode())

    def get_output(self, directory: Path) -> None:
        """Write the artifact that rank 0 made, its manifest last.

        Raises:
            RuntimeError: when there is none.
        """
        if not self._store.exists("output.json"):
            raise RuntimeError(f"{self.place}: the job ended well and left no output")
        files = json.loads(self._store.get("output.json"))
        (directory / "manifest.json").unlink(missing_ok=True)
        for name in sorted(files, key=lambda name: name == "manifest.json"):
            write_atomic(directory / name, self._store.get(f"output/{name}", files[name]))
