"""Reading a benchmark's directory: its questions, one at a time, and where their media lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from geovr.archives import member_name
from geovr.data.questions import QuestionFile, json_records
from geovr.errors import UserError
from geovr.evaluation.benchmarks.item import BenchmarkItem, Parsed, RecordError
from geovr.evaluation.benchmarks.table import Source
from geovr.evaluation.benchmarks.tsv import tsv, tsv_records

_BATCH_ROWS = 64
"""Of a parquet file with images inside, of which a few hold a hundred megabytes."""


@dataclass(frozen=True)
class Fault:
    """A record that is no question.

    Attributes:
        source: file:line.
        reason: why.
    """

    source: str
    reason: str


class Reader(Protocol):
    """What reads a benchmark's directory."""

    def __call__(self, source: Source, directory: Path) -> Iterator[BenchmarkItem | Fault]:
        """Its questions in the published order, and what could not be read."""
        ...


def question_files(source: Source, directory: Path) -> list[Path]:
    """The tables of a benchmark's directory.

    Raises:
        UserError: naming what is missing.
    """
    if not directory.is_dir():
        raise UserError(f"{directory}: no such directory; get it by `geovr benchmark fetch`")
    partial = ""
    for patterns in source.questions:
        found = [sorted(directory.glob(pattern)) for pattern in patterns]
        if all(found):
            return [path for paths in found for path in paths]
        if any(found):
            lacking = [p for p, paths in zip(patterns, found, strict=True) if not paths]
            partial = f" ({', '.join(lacking)} missing)"
    known = " or ".join(" and ".join(patterns) for patterns in source.questions)
    raise UserError(
        f"{directory}: holds no questions of {source.title}{partial}; expected {known}: fetch it"
        " again, or give the directory that has them"
    )


def read(source: Source, directory: Path) -> Iterator[BenchmarkItem | Fault]:
    """Read a benchmark, one question in memory at a time.

    Raises:
        UserError: when a file as a whole is missing or unreadable.
    """
    files = question_files(source, directory)
    keep = _subset(source, directory, files)
    number = 0
    for path in files:
        label = path.relative_to(directory).as_posix()
        parse = tsv if path.suffix == ".tsv" else source.parse
        if parse is None:
            raise UserError(f"{source.name} is a training set; `geovr ingest` reads {path} itself")
        for line, record in _records(path, label):
            if isinstance(record, Fault):
                yield record
                continue
            number += 1
            try:
                item = _item(source, parse(record, number))
                if keep(record, item):
                    yield item
            except RecordError as error:
                yield Fault(f"{label}:{line}", str(error))


def _records(path: Path, label: str) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
    if path.suffix == ".parquet":
        yield from enumerate(_parquet(path), start=1)
    elif path.suffix == ".tsv":
        yield from enumerate(tsv_records(path), start=2)
    else:
        found = QuestionFile()
        yield from json_records(path, label, found)
        yield from ((0, Fault(place, reason)) for place, reason, _ in found.faults)


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=_BATCH_ROWS):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable parquet file: {error}") from None


def _item(source: Source, fields: Parsed) -> BenchmarkItem:
    for medium in fields["media"]:
        if member_name("", medium.name) is None:
            raise RecordError(f"its medium {medium.name!r} leads out of the directory")
    if not fields["media"]:
        raise RecordError("it names no medium")
    return BenchmarkItem(**fields, media_type=source.media_type, benchmark=source.name)


def _subset(
    source: Source, directory: Path, files: list[Path]
) -> Callable[[Mapping[str, Any], BenchmarkItem], bool]:
    """Which questions belong to the benchmark; VSI-Bench's table may hold all of them, marked."""
    if source.subset == "all" or not files[0].name.startswith(("test.jsonl", "test-")):
        return lambda record, item: True
    wanted = source.subset == "pruned"
    listed = directory / "pruned_ids.txt"
    ids = set(listed.read_text(encoding="utf-8").split()) if listed.is_file() else None

    def keep(record: Mapping[str, Any], item: BenchmarkItem) -> bool:
        if "pruned" in item.extra:
            return bool(item.extra["pruned"]) == wanted
        if ids is None:
            raise UserError(
                f"{files[0]}: doesn't say which questions are pruned, and there is no"
                " pruned_ids.txt; it is of an older revision: fetch the benchmark again"
            )
        return (item.id in ids) == wanted

    return keep


def locate(source: Source, directory: Path, name: str) -> Path | None:
    """The file of a medium in a benchmark's directory; None when it isn't there."""
    names = [name]
    if source.strip and name.startswith(source.strip):
        names.append(name.removeprefix(source.strip))
    for root in source.media_roots:
        for one in names:
            path = directory / root / one
            if path.is_file():
                return path
    return None
