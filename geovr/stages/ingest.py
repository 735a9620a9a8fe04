"""ingest: video files + question files -> ClipSet.

Every input is used, or put aside by name with a reason; the counts add up. Clip objects are named
by the video's bytes and the sampler, so a rerun decodes only what is new.

details of the ClipSet: sampler, sampler_key, dvc (see data_version.py), window (start, end),
benchmark (name, revision, number of questions), protocol, fingerprint, decoded, reused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geovr import data_version
from geovr.artifacts import ClipSet
from geovr.data.questions import Question
from geovr.errors import UserError
from geovr.ingesting.config import BenchmarkSource, DvcSource, IngestConfig, sampler_key
from geovr.ingesting.decoding import decode_all
from geovr.ingesting.joining import files_of_clips, join, labels, put_aside
from geovr.ingesting.window import resolved
from geovr.ingesting.writing import pass_on, write
from geovr.storage import Store, is_s3
from geovr.storage_dvc import dvc_pointer

__all__ = ["BenchmarkSource", "DvcSource", "IngestConfig", "ingest", "sampler_key"]


def ingest(config: IngestConfig, *, output: Path) -> ClipSet:
    """Sample every video, read every question, and join them.

    Raises:
        UserError: when a source as a whole is missing or unreadable.
    """
    config = resolved(config)
    if config.clips is not None:
        return pass_on(config.clips, output)
    if config.benchmark is not None:
        return _benchmark(config, config.benchmark, output)
    from geovr.data.media import Media
    from geovr.data.questions import read_questions

    root, version = _fetch(config)
    media = Media(_below(root, config.videos or ""))
    questions: list[Question] = []
    quarantine: list[dict[str, str]] = []
    places = [_below(root, source.path) for source in config.questions]
    for source, place, label in zip(config.questions, places, labels(places), strict=True):
        with _local_file(place) as path:
            found = read_questions(path, source.split, source.layout, label)
        questions += found.questions
        quarantine += [put_aside("question", *fault) for fault in found.faults]
    sources, refused = files_of_clips(media, questions, places)
    quarantine += refused
    rows, failed, decoded = decode_all(config, media, sources)
    quarantine += failed
    joined, orphans = join(questions, rows, sources)
    quarantine += orphans
    return write(config, output, version, rows, joined, quarantine, decoded)


def _benchmark(config: IngestConfig, source: BenchmarkSource, output: Path) -> ClipSet:
    """A benchmark's questions, and a clip for each set of media that they are about."""
    from geovr.data.media import Media
    from geovr.evaluation.benchmarks.flow import prepare

    local = Path(".geovr") if is_s3(config.store) else Path(config.store)
    found = prepare(source.name, Path(source.path), local / "cache/benchmarks" / source.name)
    asked = {question.media for question in found.questions}
    media = Media.of(found.paths, source.path)
    sources, quarantine = files_of_clips(media, found.questions, [])
    sources = {
        clip_id: one.model_copy(update={"scene": found.scenes[one.names]})
        for clip_id, one in sources.items()
        if one.names in asked  # an image that is only ever shown with others is no clip
    }
    quarantine += [put_aside("question", *fault) for fault in found.faults]
    rows, failed, decoded = decode_all(config, media, sources)
    joined, orphans = join(found.questions, rows, sources)
    version = {
        "benchmark": found.name, "revision": found.revision, "questions": found.published,
    }  # fmt: skip
    quarantine += failed + orphans
    return write(config, output, None, rows, joined, quarantine, decoded, version)


def _fetch(config: IngestConfig) -> tuple[Path | None, dict[str, Any] | None]:
    """The directory that paths are relative to, and the data's version."""
    if config.dvc is None:
        local = config.videos if config.videos and not is_s3(config.videos) else None
        return None, dvc_pointer(Path(local).resolve()) if local else None
    return data_version.fetch(config.dvc.repo, config.dvc.rev, config.dvc.path, config.store)


def _below(root: Path | None, path: str) -> str:
    return path if root is None or is_s3(path) else str(root / path)


@contextmanager
def _local_file(place: str) -> Iterator[Path]:
    """A question file on this machine, for as long as the block runs."""
    if not is_s3(place):
        yield Path(place)
        return
    prefix, _, name = place.rpartition("/")
    store = Store.open(prefix)
    if not store.exists(name):
        raise UserError(f"{place}: no such question file; check ingest.questions")
    with tempfile.TemporaryDirectory(prefix="geovr-") as scratch:
        path = Path(scratch) / name
        path.write_bytes(store.get(name))
        yield path
