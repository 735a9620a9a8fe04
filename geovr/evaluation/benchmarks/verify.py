"""Whether a directory is the benchmark that it should be: count, ids, media and digests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from geovr.data.questions import read_questions
from geovr.errors import UserError
from geovr.evaluation.benchmarks.item import BenchmarkItem
from geovr.evaluation.benchmarks.lock import (
    LOCK,
    FileRecord,
    Lock,
    files_of,
    hash_files,
    ids_digest,
    read_lock,
)
from geovr.evaluation.benchmarks.reader import Fault, locate, question_files, read
from geovr.evaluation.benchmarks.table import Source
from geovr.naming import named
from geovr.unpack import is_archive

_SHOWN = 10


@dataclass
class Contents:
    """What a directory's tables say.

    Attributes:
        ids: of the questions, in order.
        faults: records that are no questions.
        media: names of the files that they are about, each once.
    """

    ids: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    media: dict[str, None] = field(default_factory=dict)


@dataclass
class Verdict:
    """What was found.

    Attributes:
        name: of the benchmark.
        revision: that was fetched, None when that isn't recorded.
        questions: how many.
        media: how many files they are about.
        hashed: how many files were compared with their digests.
        problems: what is wrong, each with what to do; empty when all is well.
        notes: what could not be compared.
    """

    name: str
    revision: str | None
    questions: int
    media: int
    hashed: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def contents(source: Source, directory: Path) -> Contents:
    """Read all questions of a benchmark or training set."""
    found = Contents()
    for one in _items(source, directory):
        if isinstance(one, Fault):
            found.faults.append(one)
            continue
        identity, names = one
        found.ids.append(identity)
        found.media.update(dict.fromkeys(names))
    return found


def _items(source: Source, directory: Path) -> Iterator[tuple[str, list[str]] | Fault]:
    if source.parse is not None:
        for item in read(source, directory):
            if isinstance(item, BenchmarkItem):
                yield item.id, [medium.name for medium in item.media if medium.data is None]
            else:
                yield item
        return
    for path in question_files(source, directory):
        layout = "vlm3r" if source.name == "vlm-3r" else "vsi590k"
        held = read_questions(path, "train", layout)  # type: ignore[arg-type]
        yield from ((question.id, list(question.media)) for question in held.questions)
        yield from (Fault(place, reason) for place, reason, _ in held.faults)


def verify(
    source: Source, directory: Path, *, quick: bool = False, media: Path | None = None
) -> Verdict:
    """Check a directory.

    Args:
        source: what it should be.
        directory: what `fetch` made, or a copy from elsewhere.
        quick: compare sizes instead of digests.
        media: where the media lie if not there.

    Raises:
        UserError: when there is no such directory, or no question in it.
    """
    lock = read_lock(directory)
    found = contents(source, directory)
    verdict = Verdict(
        source.name, lock.revision if lock else None, len(found.ids), len(found.media)
    )
    tell = verdict.problems.append
    if lock is None:
        verdict.notes.append(
            f"{directory / LOCK} is missing, so that nothing could be compared with what was"
            " fetched; `--record` writes it from what is here"
        )
    elif lock.repo != source.repo:
        tell(f"{directory / LOCK}: is of {lock.name}, not of {source.name}; give another directory")
    elif source.revision is not None and lock.revision not in (None, source.revision):
        tell(
            f"{directory}: is of revision {lock.revision}, but {source.name} is pinned to"
            f" {source.revision}; fetch it again"
        )
    # one directory serves all parts of a benchmark, but the record counts one of them
    own = lock if lock and lock.name == source.name else None
    if lock and own is None and lock.repo == source.repo:
        verdict.notes.append(f"recorded for {lock.name}: count and ids could not be compared")
    _count(source, own, found, tell)
    _media(source, media or directory, found, verdict)
    _digests(source, directory, lock, quick, verdict)
    return verdict


def _count(source: Source, lock: Lock | None, found: Contents, tell: Callable[[str], None]) -> None:
    for fault in found.faults[:_SHOWN]:
        tell(f"{fault.source}: {fault.reason}; fetch it again")
    if len(found.faults) > _SHOWN:
        tell(f"and {len(found.faults) - _SHOWN} records more are no questions")
    twice = [name for name, count in Counter(found.ids).items() if count > 1]
    if twice:
        tell(f"{len(twice)} ids are there more than once: {named(twice, _SHOWN)}; fetch it again")
    expected = source.count if source.count is not None else (lock.count if lock else None)
    if expected is not None and len(found.ids) != expected:
        tell(f"{len(found.ids)} questions where {source.title} has {expected}; fetch it again")
    elif lock is not None and ids_digest(found.ids) != lock.ids_sha256:
        tell("the ids of the questions are others than were fetched; fetch it again")


def _media(source: Source, directory: Path, found: Contents, verdict: Verdict) -> None:
    places = {name: locate(source, directory, name) for name in found.media}
    missing = [name for name, place in places.items() if place is None]
    empty = [name for name, place in places.items() if place and not place.stat().st_size]
    if source.name == "vlm-3r" and len(missing) == len(places) and places:
        verdict.notes.append(
            "its videos are not published with it; --media names VSI-590K's folder"
        )
    elif missing:
        verdict.problems.append(
            f"{len(missing)} of {len(places)} media are missing: {named(missing, _SHOWN)};"
            " unpack or fetch them again"
        )
    if empty:
        verdict.problems.append(
            f"{len(empty)} media are empty: {named(empty, _SHOWN)}; fetch them again"
        )


def _digests(
    source: Source, directory: Path, lock: Lock | None, quick: bool, verdict: Verdict
) -> None:
    wanted = dict(lock.files) if lock else {}
    there = set(files_of(directory))
    # what an archive held is there, so that the archive itself may go
    gone = [name for name in wanted if name not in there and not is_archive(name)]
    if gone:
        verdict.problems.append(
            f"{len(gone)} files are gone: {named(gone, _SHOWN)}; fetch them again"
        )
    pinned = {name: sha256 for name, sha256 in source.sha256.items() if name in there}
    names = sorted((set(wanted) & there) | set(pinned))
    changed = [n for n in names if n in wanted and _size(directory, n) != wanted[n].bytes]
    if not quick:
        same_size = [name for name in names if name not in changed]
        for name, record in hash_files(directory, same_size).items():
            if record.sha256 not in _known(name, wanted, pinned):
                changed.append(name)
        verdict.hashed = len(same_size)
    if changed:
        verdict.problems.append(
            f"{len(changed)} files are not what was fetched:"
            f" {named(sorted(changed), _SHOWN)}; delete them and fetch again"
        )


def _known(name: str, wanted: dict[str, FileRecord], pinned: dict[str, str]) -> set[str]:
    if name in pinned:
        return {pinned[name]}
    return {wanted[name].sha256}


def _size(directory: Path, name: str) -> int:
    return (directory / name).stat().st_size


def record(source: Source, directory: Path, revision: str | None) -> Lock:
    """What a directory holds now, as its record; trust on first use.

    Raises:
        UserError: when it can't be read as what it should be.
    """
    found = contents(source, directory)
    if found.faults:
        first = found.faults[0]
        raise UserError(
            f"{directory}: {len(found.faults)} records are no questions of {source.title}, the"
            f" first {first.source}: {first.reason}; it is of another layout than this version"
            " reads, so nothing was recorded"
        )
    return Lock(
        schema_version=1,
        name=source.name,
        repo=source.repo,
        revision=revision,
        count=len(found.ids),
        ids_sha256=ids_digest(found.ids),
        files=hash_files(directory, list(files_of(directory))),
    )
