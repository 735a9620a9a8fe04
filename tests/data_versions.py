"""A git repository with DVC that holds rooms in two versions: v1 lacks a scene that v2 has."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.workspace import Workspace

ADDED = "train-00007"


@dataclass(frozen=True)
class DataRepository:
    """The repository, with v1 and v2 tagged and pushed.

    Attributes:
        workspace: whose environment DVC and git run in; its root is the repository's.
        commits, md5s: by version.
    """

    workspace: Workspace
    commits: dict[str, str]
    md5s: dict[str, str]

    @property
    def path(self) -> Path:
        """The repository's directory."""
        return self.workspace.root


def make_repository(
    root: Path, rooms: Path, remote: str, shared: dict[str, str] | None = None
) -> DataRepository:
    """Commit, tag and push both versions of what `geovr simulate` wrote.

    Args:
        root: of the repository.
        rooms: with videos, questions and ground truth.
        remote: of DVC, a directory or s3:// URI.
        shared: variables of servers.
    """
    root.mkdir(parents=True)
    workspace = Workspace(root)

    def do(*command: str) -> str:
        return workspace.run(*command, shared=shared)

    do("git", "init", "--quiet", "--initial-branch", "main")
    for name, value in (("user.name", "someone"), ("user.email", "someone@example.org")):
        do("git", "config", name, value)
    do("dvc", "init", "--quiet")
    do("dvc", "remote", "add", "--quiet", "--default", "kept", remote)
    commits, md5s = {}, {}
    for version in ("v1", "v2"):
        shutil.rmtree(root / "rooms", ignore_errors=True)
        shutil.copytree(rooms, root / "rooms")
        if version == "v1":
            _remove(root / "rooms", ADDED)
        do("dvc", "add", "--quiet", "rooms")
        do("git", "add", "--all")
        do("git", "commit", "--quiet", "--message", version)
        do("git", "tag", "--annotate", "--message", version, version)
        do("dvc", "push", "--quiet")
        commits[version] = do("git", "rev-parse", "HEAD").strip()
        line = next(x for x in (root / "rooms.dvc").read_text().splitlines() if "md5:" in x)
        md5s[version] = line.split()[-1]
    return DataRepository(workspace, commits, md5s)


def _remove(rooms: Path, scene: str) -> None:
    (rooms / f"videos/rooms/{scene}.mp4").unlink()
    (rooms / f"ground_truth/{scene}.safetensors").unlink()
    path = rooms / "train_questions.jsonl"
    kept = [
        line
        for line in path.read_text().splitlines(keepends=True)
        if Path(json.loads(line)["video"]).stem != scene
    ]
    path.write_text("".join(kept))


def params_of(repository: str, rev: str | None) -> dict[str, dict[str, Any]]:
    """Sections of params.yaml that take everything from a revision of the repository."""
    questions = [
        {"path": f"{split}_questions.jsonl", "split": split} for split in ("train", "test")
    ]
    source = {"repo": repository, "rev": rev, "path": "rooms"}
    return {
        "ingest": {"dvc": source, "videos": "videos", "questions": questions},
        "extract_targets": {"oracle": {"ground_truth": "dvc:ground_truth"}},
        "evaluate": {"geometry": {"ground_truth": "dvc:ground_truth"}},
    }
