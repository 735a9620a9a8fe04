"""The commands of a page, its fenced `sh` blocks, and what of each is known without a cluster."""

from __future__ import annotations

import importlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

ELSEWHERE = "# needs "
"""A block that begins so needs what a test hasn't: a cluster, an engine, root."""
_PROGRAMS = {
    ("geovr",): "geovr.cli",
    ("python", "-m", "pipelines"): "pipelines.__main__",
    ("python", "-m", "infra.local"): "infra.local.__main__",
    ("python", "-m", "infra.docker"): "infra.docker.__main__",
    ("python", "-m", "infra.policies"): "infra.policies.__main__",
}
_FOLDERS = ("infra/", "pipelines/", "docs/", "tests/", "components/")


@dataclass(frozen=True)
class Block:
    """One block of a page."""

    line: int
    text: str

    @property
    def runs_here(self) -> bool:
        """Whether a test can run it."""
        return not self.text.startswith(ELSEWHERE)

    def commands(self) -> list[list[str]]:
        """Its commands as words, comments left out; of a pipe each part."""
        joined = self.text.replace("\\\n", " ")
        lines = [shlex.split(line, comments=True) for line in joined.splitlines()]
        found: list[list[str]] = []
        for words in filter(None, lines):
            part: list[str] = []
            for word in words:
                if word in ("|", "&&", "||", ";", ">"):
                    found.append(part)
                    part = []
                else:
                    part.append(word)
            found.append(part)
        return [part for part in found if part]


def blocks(page: Path) -> list[Block]:
    """The `sh` blocks of a page, top to bottom."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, found.start()) + 2, found[1])
        for found in re.finditer(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def faults_of(words: list[str], repository: Path) -> list[str]:
    """What is wrong with one command: an unknown command or option of ours, a missing file."""
    wrong = [
        f"no file {word}"
        for word in words
        if word.startswith(_FOLDERS) and not any(repository.glob(word))
    ]
    for prefix, module in _PROGRAMS.items():
        if tuple(words[: len(prefix)]) == prefix:
            app = importlib.import_module(module).app
            wrong += _faults_of_ours(typer.main.get_command(app), words[len(prefix) :])
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.MULTILINE)
        wrong += [
            f"no target {word}" for word in words[1:] if "=" not in word and word not in targets
        ]
    return wrong


def _faults_of_ours(command: Any, words: list[str]) -> list[str]:
    while hasattr(command, "commands"):  # a group; typer brings a click of its own
        if not words or words[0] not in command.commands:
            return [] if words == ["--help"] else [f"no command {words[:1]}"]
        command, words = command.commands[words[0]], words[1:]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    given = [word.partition("=")[0] for word in words if word.startswith("--")]
    return [f"no option {name}" for name in given if name not in known | {"--help"}]
