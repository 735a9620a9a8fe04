"""Readers of question files: VSI-590K, VLM-3R and VSI-Bench layouts to one record.

A reader never stops at a fault: what can't be used comes back by file and line with a reason.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from geovr.config import Config
from geovr.errors import UserError

Layout = Literal["auto", "vsi590k", "vlm3r", "vsibench"]

_PREFIXES = ("<image>", "<video>", "These are frames of a video.")
_OPTION = re.compile(r"^([A-Z])[.)]\s*(.+)$")
_INSTRUCTION = re.compile(r"^(please\s+)?answer\b.*", re.IGNORECASE)


class QuestionSource(Config):
    """One question file."""

    path: str = Field(..., description="Question file; with `dvc`, relative to the fetched path.")
    split: Literal["train", "test"] = Field(..., description="What its questions are for.")
    layout: Layout = Field("auto", description="auto goes by the fields of the first record.")


@dataclass(frozen=True)
class Question:
    """One question about one or several media files.

    Attributes:
        id: unique in a ClipSet.
        media: relative paths; several are the images of one clip.
        kind: what is asked (VSI-Bench's names where they exist).
        question: the wording alone.
        options: lettered ("A. left"), None for a number.
        answer: the option's letter, or the number as written.
        split: train or test.
        source: file:line.
        extra: JSON of what else a benchmark's record holds.
    """

    id: str
    media: tuple[str, ...]
    kind: str
    question: str
    options: tuple[str, ...] | None
    answer: str
    split: str
    source: str
    extra: str | None = None


@dataclass
class QuestionFile:
    """What a file held."""

    questions: list[Question] = field(default_factory=list)
    faults: list[tuple[str, str, str]] = field(default_factory=list)
    """(file:line, reason, remedy)"""

    def refuse(self, source: str, reason: str, remedy: str) -> None:
        """Put a record aside."""
        self.faults.append((source, reason, remedy))


class _RecordError(ValueError):
    """A record that is not a question; the message says why."""


def read_questions(
    path: Path, split: str, layout: Layout, label: str | None = None
) -> QuestionFile:
    """Read a question file.

    Args:
        path: a .jsonl, .json or .parquet file.
        split: what its questions are for.
        layout: of its records.
        label: what to call it; its name when not given.

    Raises:
        UserError: when the file is missing, empty, or as a whole not of a known layout.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such question file; check ingest.questions")
    found = QuestionFile()
    label = label or path.name
    for number, record in _records(path, label, found):
        try:
            found.questions.append(_question(record, split, layout, label, number))
        except _RecordError as error:
            found.refuse(f"{label}:{number}", str(error), "correct the record, or take it out")
    if not found.questions and not found.faults:
        raise UserError(f"{path}: holds no record; copy it again, or take it out")
    return found


def _records(path: Path, label: str, found: QuestionFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """Raw records with their number; broken lines are refused and passed over."""
    if path.suffix == ".parquet":
        yield from enumerate(_parquet(path), start=1)
        return
    yield from json_records(path, label, found)


def json_records(
    path: Path, label: str, found: QuestionFile
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Raw records of a .jsonl or .json file; broken lines go to `found`'s faults.

    Raises:
        UserError: for a .json file that is broken as a whole.
    """
    # a byte-order mark and Windows line ends are no reason to refuse anything
    data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    lines = data.split(b"\n")  # splitlines would also split at separators within a text
    first, *others = [line for line in lines if line.strip()] or [b""]
    if first.lstrip().startswith(b"[") and not (others and _is_json(first)):
        try:
            records = json.loads(data)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{error.lineno}: broken JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: not readable JSON: {error}") from None
        for number, record in enumerate(records, start=1):
            yield from _checked(number, record, label, found)
        return
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            reason = f"broken JSON: {error.msg} at column {error.colno}"
        except UnicodeDecodeError as error:
            reason = f"not UTF-8 at byte {error.start + 1} of the line"
        except (ValueError, RecursionError) as error:
            reason = f"not readable JSON: {error}"
        else:
            yield from _checked(number, record, label, found)
            continue
        found.refuse(f"{label}:{number}", reason, "correct the line, or take it out")


def _is_json(line: bytes) -> bool:
    """Whether a first line is a whole value, so that the file is JSON lines."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        # pylist, not pandas: lists stay lists, and a missing whole number stays one
        return list(pyarrow.parquet.read_table(path).to_pylist())
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable parquet file: {error}") from None


def _checked(
    number: int, record: Any, label: str, found: QuestionFile
) -> Iterator[tuple[int, dict[str, Any]]]:
    if isinstance(record, dict):
        yield number, record
    else:
        found.refuse(f"{label}:{number}", "not a JSON object", "correct the record, or take it out")


def _question(
    record: dict[str, Any], split: str, layout: Layout, label: str, number: int
) -> Question:
    if layout == "auto":
        layout = _layout_of(record)
    identity = record.get("id")
    if isinstance(identity, float) and identity.is_integer():
        identity = int(identity)  # tables with an id missing hold the others so
    if isinstance(identity, float):
        identity = None
    if identity is None or isinstance(identity, (dict, list)) or not str(identity).strip():
        identity = f"{label.removesuffix(Path(label).suffix)}:{number}"
    if layout == "vsibench":
        question, options = _text(record, "question"), _options(record.get("options"))
        media: tuple[str, ...] = (f"{_text(record, 'dataset')}/{_text(record, 'scene_name')}.mp4",)
        answer, kind = str(_need(record, "ground_truth")).strip(), _text(record, "question_type")
    else:
        question, options, answer = _conversation(record)
        kind = str(record.get("question_type") or "unknown")
        media = _vlm3r_media(record) if layout == "vlm3r" else _media(record)
    _check_text(str(identity), *media, kind, question, *(options or ()), answer)
    return Question(
        id=str(identity),
        media=media,
        kind=kind,
        question=question,
        options=options,
        answer=_valid_answer(answer, options),
        split=split,
        source=f"{label}:{number}",
    )


def _check_text(*values: str) -> None:
    """Half a surrogate pair is valid JSON, but no text that a table could hold."""
    try:
        "".join(values).encode()
    except UnicodeEncodeError as error:
        raise _RecordError(f"it holds half a character: {error.object[error.start]!r}") from None


def _layout_of(record: dict[str, Any]) -> Layout:
    if record.get("ground_truth") is not None:
        return "vsibench"
    if "conversations" in record:
        named = record.get("video") or record.get("image")
        return "vlm3r" if "data_source" in record and not named else "vsi590k"
    raise _RecordError("it has neither `conversations` nor `ground_truth`, so no known layout")


def _need(record: dict[str, Any], name: str) -> Any:
    value = record.get(name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise _RecordError(f"field {name!r} is missing")
    return value


def _text(record: dict[str, Any], name: str) -> str:
    value = _need(record, name)
    if not isinstance(value, str) or not value.strip():
        raise _RecordError(f"field {name!r} must be a text, found {value!r}")
    return value.strip()


def media_of(record: dict[str, Any]) -> tuple[str, ...]:
    """The media that a record of a training set is about, whatever else is wrong with it; none
    when it names none.
    """
    try:
        return _vlm3r_media(record) if _layout_of(record) == "vlm3r" else _media(record)
    except _RecordError:
        return ()


def _vlm3r_media(record: dict[str, Any]) -> tuple[str, ...]:
    # the authors' videos of ScanNet++ lie in a folder of another name
    folder = _text(record, "data_source")
    folder = "scannetppv2" if folder == "scannetpp" else folder
    return (f"{folder}/{_text(record, 'scene_name')}.mp4",)


def _media(record: dict[str, Any]) -> tuple[str, ...]:
    value = record.get("video") or record.get("image")
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise _RecordError("neither `video` nor `image` names a file")
    return tuple(names)


def _options(value: Any) -> tuple[str, ...] | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, (list, tuple)) or not all(isinstance(o, str) and o for o in value):
        raise _RecordError(f"field 'options' must be a list of texts, found {value!r}")
    return tuple(value) or None


def _conversation(record: dict[str, Any]) -> tuple[str, tuple[str, ...] | None, str]:
    """Question, options and answer of a two-turn conversation, its set phrases taken off."""
    turns = record.get("conversations")
    if not isinstance(turns, list) or len(turns) < 2:
        raise _RecordError("`conversations` needs a question and an answer")
    if not all(isinstance(turn, dict) for turn in turns[:2]):
        raise _RecordError("each turn of `conversations` must be an object with a `value`")
    values = [turn.get("value") for turn in turns[:2]]
    asked, told = ("" if value is None else str(value).strip() for value in values)
    for prefix in _PREFIXES:
        asked = asked.removeprefix(prefix).strip()
    wording: list[str] = []
    options: list[str] = []
    for line in (line.strip() for line in asked.splitlines()):
        if _OPTION.match(line) and (options or wording):
            options.append(line)
        elif (
            line
            and line.rstrip(":").lower() != "options"
            and not (wording and _INSTRUCTION.match(line))
        ):
            wording.append(line)
    if not wording or not told:
        raise _RecordError("its question or its answer is empty")
    return "\n".join(wording), tuple(options) or None, told


def _valid_answer(answer: str, options: tuple[str, ...] | None) -> str:
    """The answer, tidied.

    Raises:
        _RecordError: for a letter outside the options, or what is no finite number.
    """
    if options is not None:
        letter = re.split(r"[.)]", answer.strip())[0].strip().upper()
        letters = [option.lstrip()[:1].upper() for option in options]
        if not letter or letter not in letters:
            raise _RecordError(f"its answer {answer!r} is outside its options {', '.join(letters)}")
        return letter
    try:
        number = float(answer)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise _RecordError(
            f"its answer {answer!r} is no number from zero up, and it has no options"
        )
    return answer.strip()
