"""Saved answers as scorers want them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from geovr.artifacts import EvalReport
from geovr.errors import UserError
from geovr.evaluation.benchmarks.item import BenchmarkItem
from geovr.evaluation.predictions import Predictions, read, read_file
from geovr.evaluation.profiles.profile import Said
from geovr.storage import is_s3


def load(uri: str) -> Predictions:
    """The answers in a .jsonl file, or those of an EvalReport, which lie in its store.

    Raises:
        UserError: when it is neither, holds no answer, or one that is malformed.
    """
    if not is_s3(uri) and Path(uri).is_file():
        found = read_file(Path(uri))
    else:
        report = EvalReport.load(uri)
        details = report.manifest.details
        found = read(report.store, details["key"], details["predictions_sha256"])
    if not found.rows:
        raise UserError(f"{uri}: holds no answer; run evaluate again")
    for row in found.rows:
        wrong = next((name for name, right in _FIELDS.items() if not right(row.get(name))), None)
        if wrong:
            raise UserError(
                f"{uri}: the answer to {row['id']!r:.80} has a {wrong} that is none:"
                f" {row.get(wrong)!r:.80}"
            )
    return found


def said_of(row: Mapping[str, Any], item: BenchmarkItem | None) -> Said:
    """A row as a profile wants it; what it lacks is taken from the benchmark's own record."""
    options = row.get("options") or (item.options if item else None)
    scene = row.get("scene") or row.get("clip_id") or (item.scene if item else "")
    return Said(
        id=str(row["id"]),
        kind=row["kind"],
        question=str(row.get("question") or (item.question if item else "")),
        options=tuple(options) if options else None,
        answer=str(row["answer"]),
        text=row["text"],
        scene=str(scene),
        extra={**(item.extra if item else {}), **(row.get("extra") or {})},
    )


def _texts(value: Any) -> bool:
    return isinstance(value, Sequence) and all(isinstance(one, str) for one in value)


_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "id": lambda value: isinstance(value, (str, int)),
    "kind": lambda value: isinstance(value, str),
    "answer": lambda value: isinstance(value, (str, int, float)),
    "text": lambda value: value is None or isinstance(value, str),
    "options": lambda value: value is None or (_texts(value) and not isinstance(value, str)),
    "extra": lambda value: value is None or isinstance(value, Mapping),
}
"""Field -> whether a value is one. Others are told, not scored."""
