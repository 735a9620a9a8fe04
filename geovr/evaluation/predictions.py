"""Raw answers of an evaluation, one JSON object a line.

The first line may be {"header": {..}}: all that decided what was asked and shown (see header.py).
Every other line is one answer:

id, clip_id, scene, kind, question, options (lettered, or null), answer, extra, prompt_sha256 (of
the words that the model was given), text (what it said), blanked_text and shuffled_text (null where
they were not asked), nll (null where the backend doesn't tell it), video_sha256.

Files of earlier versions have no header, and lack `question` and `extra`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geovr.errors import UserError
from geovr.storage import Store


@dataclass(frozen=True)
class Predictions:
    """A file of answers.

    Attributes:
        header: what decided them; empty for a file without one.
        rows: the answers, in the order of the file.
    """

    header: dict[str, Any]
    rows: list[dict[str, Any]]


def predictions_key(key: str) -> str:
    """Where the answers of an evaluation lie."""
    return f"evaluation/{key}/predictions.jsonl"


def parse(text: str, name: str) -> Predictions:
    """The answers in a text.

    Args:
        text: the lines.
        name: of the file, for messages.

    Raises:
        UserError: naming the line that is no answer.
    """
    header: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    # not splitlines: an answer may hold U+2028, which JSON leaves as it is
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{name}:{number}: no JSON: {error}; repair or remove the line"
            ) from None
        if number == 1 and isinstance(row, dict) and set(row) == {"header"}:
            header = row["header"]
            continue
        lacking = {"id", "kind", "answer", "text"} - set(row) if isinstance(row, dict) else {"id"}
        if lacking:
            raise UserError(
                f"{name}:{number}: no answer: {', '.join(sorted(lacking))} missing; each line is"
                " an object with id, kind, answer and text"
            )
        rows.append(row)
    return Predictions(header, rows)


def read_file(path: Path) -> Predictions:
    """A file of answers on disk.

    Raises:
        UserError: when it can't be read, or a line is no answer.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read: {error}") from None
    return parse(text, str(path))


def read(store: Store, key: str, sha256: str | None = None) -> Predictions:
    """The answers of an evaluation in the store, verified when their digest is given."""
    name = predictions_key(key)
    return parse(store.get(name, sha256).decode(), store.uri_of(name))


def read_predictions(store: Store, key: str, sha256: str | None = None) -> list[dict[str, Any]]:
    """Its answers alone."""
    return read(store, key, sha256).rows
