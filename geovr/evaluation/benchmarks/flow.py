"""A benchmark's directory as ingest takes it: questions, and a file for each of their media."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from geovr.config import canonical_json
from geovr.data.numbers import is_number, is_text
from geovr.data.questions import Question
from geovr.evaluation.benchmarks.item import BenchmarkItem
from geovr.evaluation.benchmarks.lock import read_lock
from geovr.evaluation.benchmarks.reader import Fault, locate, read
from geovr.evaluation.benchmarks.table import BENCHMARKS, source_named
from geovr.storage import sha256_file, write_atomic

REMEDY = "correct the record, or take it out"


@dataclass
class Prepared:
    """What ingest needs of a benchmark.

    Attributes:
        name: of it.
        revision: that was fetched, if that is recorded.
        published: number of its questions by the table or the record, else of its records here.
        questions: with split test.
        paths: media name -> file.
        scenes: media of a question -> where they were taken.
        faults: (file:line or id, reason, remedy)
    """

    name: str
    revision: str | None
    published: int = 0
    questions: list[Question] = field(default_factory=list)
    paths: dict[str, Path] = field(default_factory=dict)
    scenes: dict[tuple[str, ...], str] = field(default_factory=dict)
    faults: list[tuple[str, str, str]] = field(default_factory=list)


def prepare(name: str, directory: Path, images: Path) -> Prepared:
    """Read a benchmark for the flow.

    A question without options may have a text for its answer, which profiles know how to score and
    the flow's own table doesn't. One whose answer is a number that no score knows is put aside.

    Args:
        name: in the table.
        directory: that holds it.
        images: where images that lie inside its tables are written, each once.

    Raises:
        UserError: when the benchmark is not known, or the directory doesn't hold it.
    """
    source = source_named(name, BENCHMARKS)
    lock = read_lock(directory)
    found = Prepared(name, lock.revision if lock else None)
    records = 0
    for item in read(source, directory):
        records += 1
        if isinstance(item, Fault):
            found.faults.append((item.source, item.reason, REMEDY))
            continue
        if item.options is None and not (is_number(item.answer) or is_text(item.answer)):
            reason = f"its answer {item.answer[:40]!r} is below zero, not finite, or empty"
            found.faults.append((f"{name}:{item.id}", reason, "score it outside the flow"))
            continue
        names = tuple(medium.name for medium in item.media)
        for medium in item.media:
            if medium.name in found.paths:
                continue
            if medium.data is None:
                place = locate(source, directory, medium.name)
                if place is not None:
                    found.paths[medium.name] = place
            else:
                found.paths[medium.name] = _written(
                    images / medium.name, medium.data, medium.sha256
                )
        found.questions.append(_question(item, names))
        found.scenes.setdefault(names, item.scene)
    own = lock if lock and lock.name == name else None
    found.published = source.count or (own.count if own else records)
    return found


def _written(path: Path, data: bytes, sha256: str | None) -> Path:
    if not path.is_file() or sha256_file(path) != sha256:
        write_atomic(path, data)
    return path


def _question(item: BenchmarkItem, names: tuple[str, ...]) -> Question:
    return Question(
        id=item.id,
        media=names,
        kind=item.kind,
        question=item.question,
        options=item.options,
        answer=item.answer,
        split="test",
        source=f"{item.benchmark}:{item.id}",
        extra=canonical_json(dict(item.extra)) if item.extra else None,
    )
