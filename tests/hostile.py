"""Inputs that would do harm in a page that doesn't escape them."""

from __future__ import annotations

import json

from tests.workspace import Workspace

FILE = '<img src=x onerror="alert(1)">.mp4'
QUESTION = '</p><script>alert("asked")</script> & '


def plant(workspace: Workspace) -> None:
    """A broken video and test questions whose names and words are HTML."""
    rooms = workspace.root / "data/rooms"
    (rooms / "videos/rooms" / FILE).write_bytes(b"this is no video")
    path = rooms / "test_questions.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line["question"] = QUESTION + line["question"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    workspace.params({"check_clips": {"thresholds": {"max_quarantined_videos": 0.5}}})
