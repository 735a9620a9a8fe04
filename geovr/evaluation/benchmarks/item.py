"""One question of a benchmark, and the small readings that several layouts share."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from geovr.storage import sha256_bytes

MediaType = Literal["video", "images"]
MOST_LITERAL_CHARACTERS = 1 << 16
"""Of a list written as text. A parser's stack and memory grow with what it is given; the longest
list in a published file is of some 30 paths."""

_ENDINGS = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png"}
_INLINE = re.compile(r"(?:(?<=\s)|^)\(?([A-Z])[.):]\s*", re.MULTILINE)
# "A is closer" is an option's text, not option A
_LETTERED = re.compile(r"^\s*\(?([A-Z])[.):]\s*(.*)$", re.DOTALL)


class RecordError(ValueError):
    """A record that is no question of its benchmark; the message says why."""


@dataclass(frozen=True)
class Medium:
    """A video or an image of a question.

    Attributes:
        name: path relative to the benchmark's directory; for an image that lies inside the table,
            the name it gets, which is that of its bytes.
        data: the image's bytes where the table holds them.
        sha256: of `data`.
    """

    name: str
    data: bytes | None = None
    sha256: str | None = None

    @classmethod
    def embedded(cls, data: bytes) -> Medium:
        """An image that lies inside the table.

        Raises:
            RecordError: for bytes that are neither JPEG nor PNG.
        """
        ending = next((e for magic, e in _ENDINGS.items() if data.startswith(magic)), None)
        if ending is None:
            raise RecordError(f"an image of {len(data)} bytes is neither a JPEG nor a PNG")
        sha256 = sha256_bytes(data)
        return cls(f"images/{sha256[:2]}/{sha256[:32]}.{ending}", data, sha256)


@dataclass(frozen=True)
class BenchmarkItem:
    """One question as its benchmark publishes it.

    Attributes:
        id: unique in the benchmark, the publisher's own where there is one.
        scene: where it was filmed, the unit of statistics.
        kind: the benchmark's own name of what is asked.
        question: the wording, with whatever belongs to this item alone.
        options: lettered, as published; None for a number or a free text. Some benchmarks write
            them into the question too (table.Source.options_inside).
        answer: the option's letter, or the number or text as written.
        media: in the order in which they are shown.
        media_type: a video, or images.
        benchmark: its name in the table.
        extra: what else scoring or statistics may want.
    """

    id: str
    scene: str
    kind: str
    question: str
    options: tuple[str, ...] | None
    answer: str
    media: tuple[Medium, ...]
    media_type: MediaType
    benchmark: str
    extra: Mapping[str, Any] = field(default_factory=dict)


Parsed = dict[str, Any]
"""The fields of an item but benchmark and media_type; made by a layout's function."""


def literal(text: str, most: int = MOST_LITERAL_CHARACTERS) -> Any:
    """A list, mapping, text or number that a table holds as text, in JSON's or Python's notation.

    Nothing is evaluated.

    Raises:
        RecordError: for a text that is no literal, or too long for one.
    """
    if len(text) > most:
        raise RecordError(f"a literal of {len(text)} characters, over {most}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise RecordError(f"no literal: {text[:80]!r}") from None


def missing(value: Any) -> bool:
    """Whether a table has no value there."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def text_of(record: Mapping[str, Any], *names: str) -> str:
    """The first of some fields that has a value, as text.

    Raises:
        RecordError: when there is none.
    """
    for name in names:
        value = record.get(name)
        if not missing(value) and not isinstance(value, (dict, list, bytes)) and str(value).strip():
            if isinstance(value, float) and value.is_integer():
                value = int(value)  # a column with a gap holds its whole numbers so
            return str(value)
    raise RecordError(f"field {' or '.join(map(repr, names))} is missing")


def list_of(
    record: Mapping[str, Any], *names: str, most: int = MOST_LITERAL_CHARACTERS
) -> list[Any]:
    """The first of some fields that has a value, as a list; a literal in a text is read.

    Raises:
        RecordError: when there is none, or it is neither a list nor a text of one.
    """
    for name in names:
        value = record.get(name)
        if missing(value):
            continue
        if isinstance(value, str):
            value = literal(value, most) if value.lstrip()[:1] in ("[", "(", "{") else [value]
        if isinstance(value, (list, tuple)):
            return list(value)
        raise RecordError(f"field {name!r} is no list: {value!r:.80}")
    raise RecordError(f"field {' or '.join(map(repr, names))} is missing")


def options_of(record: Mapping[str, Any], *names: str) -> tuple[str, ...] | None:
    """Options as published; None when there are none. A mapping of letters becomes "A. text"."""
    for name in names:
        value = record.get(name)
        if missing(value) or value in ("", [], "[]"):
            continue
        if isinstance(value, str):
            value = literal(value)
        if isinstance(value, dict):
            # a table's column of mappings has a key for every row's options, empty where unused
            kept = {k: v for k, v in sorted(value.items()) if not missing(v)}
            value = [f"{letter}. {text}" for letter, text in kept.items()]
        if not isinstance(value, (list, tuple)) or not all(isinstance(o, str) for o in value):
            raise RecordError(f"field {name!r} is no list of texts: {value!r:.80}")
        return tuple(value) or None
    return None


def lettered(options: tuple[str, ...]) -> tuple[str, ...]:
    """Options with letters put before them, unless all have one."""
    letters = [split_option(option)[0] for option in options]
    if letters == [chr(65 + n) for n in range(len(options))]:
        return options
    return tuple(f"{chr(65 + n)}. {option}" for n, option in enumerate(options))


def split_option(option: str) -> tuple[str, str]:
    """Letter and text of an option; the letter is empty when it has none."""
    found = _LETTERED.match(option)
    return (found[1], found[2]) if found else ("", option)


def inline_options(question: str) -> tuple[str, ...] | None:
    """The options that a question's own text holds ("A. .. B. .."), None when it holds none.

    Only a run of letters that begins with A and has no gap counts; the last such run is taken.
    """
    run: list[re.Match[str]] = []
    best: list[re.Match[str]] = []
    for found in _INLINE.finditer(question):
        if found[1] == "A":
            run = [found]
        elif run and found[1] == chr(ord(run[-1][1]) + 1):
            run.append(found)
        if len(run) >= 2:
            best = run
    if not best:
        return None
    ends = [found.start() for found in best[1:]] + [len(question)]
    texts = [question[f.end() : end].strip(" \n,;") for f, end in zip(best, ends, strict=True)]
    return tuple(f"{f[1]}. {text}" for f, text in zip(best, texts, strict=True))


def letter_of(answer: str, options: tuple[str, ...]) -> str:
    """The letter that an answer such as "B", "(B)", "B. left" or "left" means.

    Raises:
        RecordError: when it is none of the options.
    """
    letters = [split_option(option)[0] for option in options]
    stripped = answer.strip()
    letter = stripped.strip("()").upper()
    if letter not in letters:
        letter = split_option(stripped)[0]
    if letter not in letters:
        texts = [split_option(option)[1].strip() for option in options]
        letter = letters[texts.index(stripped)] if stripped in texts else ""
    if not letter:
        raise RecordError(f"its answer {answer!r} is none of its options {', '.join(letters)}")
    return letter
