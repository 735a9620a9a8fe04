"""What a set of clips, a benchmark's or a training set's directory holds: scenes, bytes, looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from geovr.artifacts import ClipSet
from geovr.data.fingerprint import VERSION, fingerprint
from geovr.errors import LostObject, UserError
from geovr.leakage.scenes import scene_name
from geovr.progress import tracked
from geovr.storage import is_s3, sha256_file

if TYPE_CHECKING:
    from geovr.evaluation.benchmarks.lock import Lock
    from geovr.evaluation.benchmarks.table import Source

THREADS = 4
"""Objects read at once where an index has no fingerprints."""


@dataclass(frozen=True)
class Held:
    """One clip, video or image.

    Attributes:
        name: of the clip, or path of the file.
        scene: under which scenes are compared; None when it isn't known.
        sha256: of the file's bytes; None when they are not here.
        fingerprint: of its frames; None when they are not here.
    """

    name: str
    scene: str | None
    sha256: str | None = None
    fingerprint: tuple[str, ...] | None = None


@dataclass
class Holdings:
    """What one side holds.

    Attributes:
        title: what to call it.
        clips: all of it.
        notes: what can't be compared, and what to do.
    """

    title: str
    clips: list[Held] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def of_clips(clips: ClipSet, split: Literal["train", "test"], title: str) -> Holdings:
    """The clips that are used in a split, their own or that of their questions."""
    asked = clips.questions["clip_id"][clips.questions["split"] == split]
    index = clips.index
    rows = index[(index["split"] == split) | index["clip_id"].isin(asked)]
    found = Holdings(title)
    prints = fingerprints(clips, rows, found.notes.append)
    for row, one in zip(rows.itertuples(index=False), prints, strict=True):
        scene = scene_name(str(row.scene), str(row.clip_id))
        found.clips.append(Held(str(row.clip_id), scene, str(row.video_sha256), one))
    return found


def fingerprints(
    clips: ClipSet, rows: Any, tell: Callable[[str], None]
) -> list[tuple[str, ...] | None]:
    """Of some rows of an index; made from the objects where ingest was of an earlier version.

    Args:
        clips: the set.
        rows: of its index.
        tell: is told of each clip whose object can't be read, which gets None.
    """
    from geovr.data.clips import read_clip
    from geovr.data.objects import BrokenObject

    if clips.manifest.details.get("fingerprint") == VERSION:
        return [tuple(one) for one in rows["fingerprint"]]
    store = clips.store

    def look(row: Any) -> tuple[str, ...] | None:
        try:
            return tuple(fingerprint(read_clip(store, row).frames_THWC))
        except (LostObject, BrokenObject) as error:
            tell(f"{row.clip_id}: what it shows can't be compared: {error}")
            return None

    listed = list(rows.itertuples(index=False))
    with ThreadPoolExecutor(THREADS) as pool:
        looked = pool.map(look, listed)
        return list(tracked(looked, "leakage: looking at clips", len(listed), "clips"))


def open_side(
    place: str, split: Literal["train", "test"], name: str | None = None, title: str | None = None
) -> Holdings:
    """What lies at a place: a ClipSet, or the directory of a benchmark or a training set.

    Args:
        place: directory, or s3:// URI of a ClipSet.
        split: of a ClipSet, which clips are meant; all of them where it has none of it.
        name: in the tables of benchmarks and data sets, where no fetch recorded it.
        title: what to call it; the place when not given.

    Raises:
        UserError: when there is nothing that can be read.
    """
    directory = Path(place)
    if name is None and (is_s3(place) or (directory / "manifest.json").is_file()):
        clips = ClipSet.load(place)
        found = of_clips(clips, split, title or place)
        if not found.clips:
            raise UserError(f"{place}: holds no clips of the split {split}; check the two sides")
        return found
    return of_directory(directory, name, title)


def of_directory(directory: Path, name: str | None, title: str | None = None) -> Holdings:
    """What the question files of a directory name, and the bytes of the files that are here.

    A benchmark's files are hashed unless `geovr-benchmark.json` tells their digests; a training
    set's, some hundred gigabytes, only by that record.
    """
    from geovr.evaluation.benchmarks.lock import LOCK, read_lock
    from geovr.evaluation.benchmarks.table import BENCHMARKS, DATASETS, source_named

    lock = read_lock(directory)
    if name is None and lock is None:
        raise UserError(
            f"{directory}: no ClipSet, and no {LOCK} says which benchmark or training set it is;"
            f" give its name, one of {', '.join({**BENCHMARKS, **DATASETS})}"
        )
    source = source_named(name or (lock.name if lock else ""), {**BENCHMARKS, **DATASETS})
    found = Holdings(title or source.name)
    media: dict[str, Held] = {}
    for scene, medium, sha256 in _media(source, directory, found.notes):
        if medium not in media:
            media[medium] = Held(medium, scene_name(scene, medium), sha256)
    hashed = _hashed(source, directory, lock, media)
    found.clips = [Held(h.name, h.scene, h.sha256 or hashed.get(h.name)) for h in media.values()]
    without = sum(held.sha256 is None for held in found.clips)
    if without:
        found.notes.append(
            f"{found.title}: {without} of {len(found.clips)} files are not here or have no recorded"
            " digest, so that only their scenes could be compared"
        )
    found.notes.append(
        f"{found.title}: what its videos show can't be compared; give the ClipSet that `geovr"
        " ingest` makes of it"
    )
    return found


def _media(
    source: Source, directory: Path, notes: list[str]
) -> Iterator[tuple[str, str, str | None]]:
    """(scene, path, digest of a file that a table holds itself) of each medium that is named."""
    from geovr.data.questions import QuestionFile, json_records, media_of
    from geovr.evaluation.benchmarks.reader import Fault, question_files, read

    faults = 0
    if source.parse is not None:
        for item in read(source, directory):
            if isinstance(item, Fault):
                faults += 1
                continue
            yield from ((item.scene, medium.name, medium.sha256) for medium in item.media)
    else:
        for path in question_files(source, directory):
            held = QuestionFile()
            for _, record in json_records(path, path.name, held):
                names = media_of(record)
                faults += not names
                yield from ((Path(name).stem, name, None) for name in names)
            faults += len(held.faults)
    if faults:
        notes.append(
            f"{directory}: {faults} records are no questions, and were not compared; `geovr"
            " benchmark verify` or `geovr dataset verify` names them"
        )


def _hashed(
    source: Source, directory: Path, lock: Lock | None, media: dict[str, Held]
) -> dict[str, str]:
    """Digests of the files that are here."""
    from geovr.evaluation.benchmarks.reader import locate

    found = {}
    wanted = [held.name for held in media.values() if held.sha256 is None]
    for name in tracked(wanted, f"{source.name}: sha256", len(wanted), "files"):
        path = locate(source, directory, name)
        if path is None:
            continue
        known = lock.files.get(path.relative_to(directory).as_posix()) if lock else None
        if known is not None and known.bytes == path.stat().st_size:
            found[name] = known.sha256
        elif source.parse is not None:
            found[name] = sha256_file(path)
    return found
