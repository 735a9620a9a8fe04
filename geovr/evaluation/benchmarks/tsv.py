"""The one layout that VLMEvalKit and the EASI leaderboard give to every benchmark: a .tsv file.

Columns, as its code reads them (open-compass/VLMEvalKit vlmeval/dataset/): index, question, answer,
then `candidates` or `options` (a list as text) or one column a letter, `video`, `image_path` (a
list as text) or `image` (base64, or a list of it as text), and a column for what is asked.
"""

from __future__ import annotations

import base64
import binascii
import csv
import string
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from geovr.errors import UserError
from geovr.evaluation.benchmarks.item import (
    Medium,
    Parsed,
    RecordError,
    inline_options,
    letter_of,
    lettered,
    list_of,
    missing,
    options_of,
    text_of,
)
from geovr.evaluation.benchmarks.videos import sti

MOST_FIELD_CHARACTERS = 256 << 20
"""Of a cell: a question about 32 images holds them all in one."""
_KINDS = ("question_type", "task", "task_type", "category", "sub_task")


def tsv_records(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a .tsv file; an empty cell is no value.

    Raises:
        UserError: for a file that is no such table.
    """
    before = csv.field_size_limit(MOST_FIELD_CHARACTERS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                if None in row or None in row.values():
                    raise UserError(f"{path}: a row has another number of cells than the header")
                yield {name: value if value != "" else None for name, value in row.items()}
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable .tsv file: {error}") from None
    finally:
        csv.field_size_limit(before)


def tsv(record: Mapping[str, Any], number: int) -> Parsed:
    """A row of such a file as the fields of an item."""
    if record.get("time_start") is not None:
        named = dict(record) | {"ID": record.get("index")}
        return sti(named, number)
    # a prompt that was made beforehand holds the question and what belongs to it
    question = text_of(record, "question", "prompt")
    letters = [c for c in string.ascii_uppercase if not missing(record.get(c))]
    if letters:
        options: tuple[str, ...] | None = tuple(f"{c}. {record[c]}" for c in letters)
    else:
        options = options_of(record, "candidates", "options", "choices")
        options = lettered(options) if options else None
    answer = text_of(record, "answer", "ground_truth", "gt_answer").strip()
    if options is None and answer in string.ascii_uppercase:
        options = inline_options(question)
    media = _media(record)
    first = PurePosixPath(media[0].name)
    scene = record.get("scene_name") or record.get("scene")
    return {
        "id": text_of(record, "id", "index"),
        "scene": str(scene) if scene else first.stem,
        "kind": text_of(record, *_KINDS),
        "question": question,
        "options": options,
        "answer": letter_of(answer, options) if options else answer,
        "media": media,
        "extra": {},
    }


def _media(record: Mapping[str, Any]) -> tuple[Medium, ...]:
    if not missing(record.get("video")):
        return (Medium(text_of(record, "video")),)
    if not missing(record.get("image")):
        images = list_of(record, "image", most=MOST_FIELD_CHARACTERS)
        return tuple(Medium.embedded(_decoded(text)) for text in images)
    names = list_of(record, "image_path")
    if not names:
        raise RecordError("it names no medium")
    return tuple(Medium(str(name)) for name in names)


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise RecordError(f"an image is no base64: {str(text)[:20]!r}") from None
