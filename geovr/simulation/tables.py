"""The tables of all scenes: question files and scenes.json."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geovr.simulation.layouts import jsonl, vsi_590k_row, vsi_bench_row
from geovr.simulation.record import Record
from geovr.simulation.tally import tally
from geovr.storage import write_atomic

if TYPE_CHECKING:
    from geovr.simulation.layouts import QuestionRecord
    from geovr.simulation.simulate import SimulateConfig

CONVENTIONS = (
    "World: metres, z up, floor at z = 0, origin at the floor's centre; width runs along x, "
    "depth along y. Objects: size is width, depth, height along the object's own axes, which are "
    "turned by yaw_degrees counter-clockwise about z. Cameras: OpenCV, camera-from-world. "
    "instance_NHW: 0 is the room, k is objects[k - 1]. seed: entropy of numpy's default_rng."
)
LEFT_OUT = ("key", "questions", "object_questions")
"""Of a record, what scenes.json doesn't tell."""
ID_PREFIXES = {"questions": "", "object_questions": "object-"}
"""Of test questions' ids, so that both files can be ingested together. Training rows have no id and
get one from their file's name.
"""


def write_tables(config: SimulateConfig, output: Path, records: list[Record]) -> dict[str, Any]:
    """Write them; gives the counts of scenes and the tally of questions.

    Questions that refer to objects have files of their own, where the records tell of some: a run
    may ingest them or leave them.
    """
    _write_questions(output, records, "questions")
    if config.preset == "rooms":
        for split in ("train", "test"):  # of a demo or study that was here before
            (output / f"{split}_object_questions.jsonl").unlink(missing_ok=True)
    else:
        _write_questions(output, records, "object_questions")
    scenes = [{k: v for k, v in r.items() if k not in LEFT_OUT} for r in records]
    table: dict[str, Any] = {
        "version": 1,
        "preset": config.preset,
        "seed": config.seed,
        "conventions": CONVENTIONS,
        "scenes": scenes,
    }
    if config.preset != "rooms":
        table["object_questions"] = _by_kind(records)
    if config.furniture is not None:
        from geovr.simulation.rooms.catalogue import Catalogue

        table["furniture"] = Catalogue.open(config.furniture).summary()
    write_atomic(output / "scenes.json", (json.dumps(table, indent=1) + "\n").encode())
    return {"scenes": dict(sorted(Counter(r["split"] for r in records).items())), **tally(records)}


def _write_questions(output: Path, records: list[Record], which: str) -> None:
    """train_{which}.jsonl in VSI-590K's layout and test_{which}.jsonl in VSI-Bench's."""
    train, test = (_asked(records, which, split) for split in ("train", "test"))
    rows = [vsi_590k_row(*pair) for pair in train]
    write_atomic(output / f"train_{which}.jsonl", jsonl(rows))
    prefix = ID_PREFIXES[which]
    rows = [vsi_bench_row(_identity(prefix, number), *pair) for number, pair in enumerate(test)]
    write_atomic(output / f"test_{which}.jsonl", jsonl(rows))


def _asked(records: list[Record], which: str, split: str) -> list[tuple[str, QuestionRecord]]:
    return [(r["scene"], q) for r in records if r["split"] == split for q in r[which]]


def _identity(prefix: str, number: int) -> int | str:
    """VSI-Bench's ids are numbers."""
    return f"{prefix}{number}" if prefix else number


def _by_kind(records: list[Record]) -> dict[str, dict[str, int]]:
    """How many questions about objects each split has of each kind."""
    counts = {
        split: Counter(
            question["kind"] for _, question in _asked(records, "object_questions", split)
        )
        for split in ("train", "test")
    }
    return {split: dict(sorted(count.items())) for split, count in counts.items()}
