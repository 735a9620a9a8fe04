"""ingest: video files + question files -> ClipSet.

Every input is used, or put aside by name with a reason; the counts add up. Clip objects are named
by the video's bytes and the sampler, so a rerun decodes only what is new.

details of the ClipSet: sampler, sampler_key, dvc, benchmark (name, revision, number of questions),
protocol, fingerprint, decoded, reused.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator, model_validator

from geovr.artifacts import ClipSet, start_output
from geovr.config import Config, StageConfig, digest
from geovr.data.questions import Question, QuestionSource
from geovr.data.sampling import SamplerConfig
from geovr.data.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, LimitsConfig, VideoError
from geovr.errors import UserError
from geovr.storage import Store, dvc_pointer, fetch_dvc, is_s3, sha256_file, write_atomic

if TYPE_CHECKING:
    from geovr.data.decode_pool import DecodePool
    from geovr.data.media import Media

log = logging.getLogger("geovr")


class DvcSource(Config):
    """A path of a DVC repository at a revision."""

    repo: str = Field(..., description="Directory or git URL of the repository.")
    rev: str | None = Field(None, description="Branch, tag or commit; the newest when not given.")
    path: str = Field(..., description="A tracked directory that holds videos and questions.")

    @field_validator("repo")
    @classmethod
    def _no_secret(cls, repo: str) -> str:
        # it is kept in manifests and told in messages
        if re.match(r"https?://[^/@]*@|\w+://[^/@:]*:[^/@]*@", repo):
            raise ValueError("holds a password or token; leave it to git's credential helper")
        return repo


class BenchmarkSource(Config):
    """A published benchmark, in a directory that `geovr benchmark verify` accepts."""

    name: str = Field(..., description="As `geovr benchmark list` shows it.")
    path: str = Field(..., description="Local directory that holds it.")


class IngestConfig(StageConfig):
    """Where data comes from, and how clips are sampled. Give one of videos, clips, benchmark."""

    videos: str | None = Field(
        None, description="Folder, .txt list of paths, or s3:// prefix; with dvc, relative to it."
    )
    questions: tuple[QuestionSource, ...] = Field((), description="Question files.")
    dvc: DvcSource | None = Field(None, description="Fetch the data from DVC first.")
    clips: str | None = Field(None, description="A ClipSet that exists: verified and passed on.")
    benchmark: BenchmarkSource | None = Field(
        None, description="A published benchmark: its questions, and the media they are about."
    )
    sampler: SamplerConfig = SamplerConfig()
    protocol: str | None = Field(
        None,
        description="Sample videos as this protocol of the benchmark does, such as"
        " vsi-bench/official (docs/benchmarks.md); it stands above `sampler`.",
    )
    limits: LimitsConfig = LimitsConfig()
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, gt=0, description="Decoding processes."
    )

    @model_validator(mode="before")
    @classmethod
    def _sampler_of_the_protocol(cls, values: Any) -> Any:
        # `sampler` then says what holds, in keys, manifests and messages
        if not isinstance(values, dict) or not isinstance(values.get("protocol"), str):
            return values
        from geovr.evaluation.protocols import protocol_named

        try:
            sampler = protocol_named(values["protocol"]).sampling
        except UserError as error:
            raise ValueError(str(error)) from None
        return values | ({} if sampler is None else {"sampler": sampler.model_dump()})

    @model_validator(mode="after")
    def _one_source(self) -> IngestConfig:
        if sum(one is not None for one in (self.videos, self.clips, self.benchmark)) != 1:
            raise ValueError("give one of `videos` (with or without `dvc`), `clips`, `benchmark`")
        if self.benchmark is not None and (self.questions or self.dvc is not None):
            raise ValueError("a benchmark brings its own questions, and is no path of `dvc`")
        if self.protocol is not None:
            from geovr.evaluation.protocols import protocols_of

            if self.benchmark is None:
                raise ValueError("`protocol` says how a `benchmark` is sampled, so give that too")
            known = protocols_of(self.benchmark.name)
            if known and self.protocol not in known:
                raise ValueError(
                    f"{self.protocol} is no protocol of {self.benchmark.name}; its own are"
                    f" {', '.join(known)}"
                )
        return self


class _Source(Config):
    """One clip to be: its file, or the images it consists of."""

    names: tuple[str, ...]
    images: bool
    scene: str | None = None


def ingest(config: IngestConfig, *, output: Path) -> ClipSet:
    """Sample every video, read every question, and join them.

    Raises:
        UserError: when a source as a whole is missing or unreadable.
    """
    if config.clips is not None:
        return _pass_on(config.clips, output)
    if config.benchmark is not None:
        return _benchmark(config, config.benchmark, output)
    from geovr.data.media import Media
    from geovr.data.questions import read_questions

    root, version = _fetch(config)
    media = Media(_below(root, config.videos or ""))
    questions: list[Question] = []
    quarantine: list[dict[str, str]] = []
    places = [_below(root, source.path) for source in config.questions]
    for source, place, label in zip(config.questions, places, _labels(places), strict=True):
        with _local_file(place) as path:
            found = read_questions(path, source.split, source.layout, label)
        questions += found.questions
        quarantine += [_aside("question", *fault) for fault in found.faults]
    sources, refused = _sources(media, questions, places)
    quarantine += refused
    rows, failed, decoded = _decode_all(config, media, sources)
    quarantine += failed
    joined, orphans = _join(questions, rows, sources)
    quarantine += orphans
    return _write(config, output, version, rows, joined, quarantine, decoded)


def _benchmark(config: IngestConfig, source: BenchmarkSource, output: Path) -> ClipSet:
    """A benchmark's questions, and a clip for each set of media that they are about."""
    from geovr.data.media import Media
    from geovr.evaluation.benchmarks.flow import prepare

    local = Path(".geovr") if is_s3(config.store) else Path(config.store)
    found = prepare(source.name, Path(source.path), local / "cache/benchmarks" / source.name)
    asked = {question.media for question in found.questions}
    media = Media.of(found.paths, source.path)
    sources, quarantine = _sources(media, found.questions, [])
    sources = {
        clip_id: one.model_copy(update={"scene": found.scenes[one.names]})
        for clip_id, one in sources.items()
        if one.names in asked  # an image that is only ever shown with others is no clip
    }
    quarantine += [_aside("question", *fault) for fault in found.faults]
    rows, failed, decoded = _decode_all(config, media, sources)
    joined, orphans = _join(found.questions, rows, sources)
    version = {
        "benchmark": found.name, "revision": found.revision, "questions": found.published,
    }  # fmt: skip
    quarantine += failed + orphans
    return _write(config, output, None, rows, joined, quarantine, decoded, version)


def _fetch(config: IngestConfig) -> tuple[Path | None, dict[str, Any] | None]:
    """The directory that paths are relative to, and the data's version."""
    if config.dvc is None:
        local = config.videos if config.videos and not is_s3(config.videos) else None
        return None, dvc_pointer(Path(local).resolve()) if local else None
    name = digest(config.dvc.model_dump())[:16]
    place = Path(".geovr/cache/dvc") if is_s3(config.store) else Path(config.store) / "cache/dvc"
    target = fetch_dvc(config.dvc.repo, config.dvc.rev, config.dvc.path, place / name)
    return target, config.dvc.model_dump()


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


def _labels(places: list[str]) -> list[str]:
    """The shortest end of each path that no other path shares."""
    parts = [tuple(place.split("/")) for place in places]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        labels = ["/".join(part[-depth:]) for part in parts]
        if len(set(labels)) == len(set(parts)):
            return labels
    return places


def _aside(what: str, name: str, reason: str, remedy: str) -> dict[str, str]:
    return {"what": what, "name": name, "reason": reason, "remedy": remedy}


def _real(place: str) -> str:
    """One name for a place, whatever links lead there; links in a circle have no other."""
    return place if is_s3(place) else os.path.realpath(place)


def _sources(
    media: Media, questions: list[Question], places: list[str]
) -> tuple[dict[str, _Source], list[dict[str, str]]]:
    """Clip id -> files. Every file is a clip of its own; several images of a question are one."""
    sources: dict[str, _Source] = {}
    refused = []
    asked = {_real(place) for place in places}
    for name in media.names:
        shown = name.encode("utf-8", "backslashreplace").decode()
        if shown != name:
            refused.append(_aside("video", shown, "its name is not UTF-8", "rename it"))
            continue
        if "\0" in name:
            shown = name.replace("\0", "\\0")
            refused.append(_aside("video", shown, "its name holds a NUL", "correct the list"))
            continue
        if _real(media.uri_of(name)) in asked:
            continue  # a question file that lies among the videos
        suffix = Path(name).suffix.lower()
        if suffix not in VIDEO_SUFFIXES + IMAGE_SUFFIXES:
            reason = f"its suffix {suffix or '(none)'} is neither a video's nor an image's"
            known = ", ".join(VIDEO_SUFFIXES + IMAGE_SUFFIXES)
            refused.append(_aside("video", name, reason, f"take it out, or name it as {known}"))
            continue
        stem = name.removesuffix(Path(name).suffix)
        clip_id = name if stem in sources else stem
        sources[clip_id] = _Source(names=(name,), images=suffix in IMAGE_SUFFIXES)
    known_names = set(media.names)
    for question in questions:
        if len(question.media) > 1 and set(question.media) <= known_names:
            sources["+".join(question.media)] = _Source(names=question.media, images=True)
    return sources, refused


def _decode_all(
    config: IngestConfig, media: Media, sources: dict[str, _Source]
) -> tuple[list[dict[str, Any]], list[dict[str, str]], int]:
    """Index rows, what was put aside, and how many files were decoded now."""
    from geovr.data.decode_pool import DecodePool
    from geovr.progress import progress

    store = Store.open(config.store)
    rows, failed, decoded, locks = [], [], 0, _Locks()
    with (
        DecodePool(config.sampler, config.limits) as pool,
        ThreadPoolExecutor(config.workers) as threads,
        progress("ingest", len(sources), "files") as bar,
    ):

        def one(item: tuple[str, _Source]) -> tuple[dict[str, Any], bool] | VideoError:
            try:
                return _one(config, media, store, pool, locks, *item)
            except VideoError as error:
                return error

        for clip_id, result in zip(sources, threads.map(one, sources.items()), strict=True):
            bar.advance()
            if isinstance(result, VideoError):
                name = "+".join(sources[clip_id].names)
                failed.append(_aside("video", name, result.reason, result.remedy))
                continue
            rows.append(result[0])
            decoded += result[1]
    return sorted(rows, key=lambda row: str(row["clip_id"])), failed, decoded


def sampler_key(config: IngestConfig) -> str:
    """Hash of all that decides a clip's content but the video."""
    from geovr.data.clips import CODE_VERSION

    return digest(
        {
            "sampler": config.sampler.identity(),
            "max_side": config.limits.max_side,
            "code": CODE_VERSION,
        }
    )[:16]


class _Locks:
    """One lock a key: two names of the same bytes are decoded once."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}

    def of(self, key: str) -> threading.Lock:
        """The lock of a key."""
        return self._locks.setdefault(key, threading.Lock())


def _hashes(paths: list[Path]) -> list[str]:
    """sha256 of each file.

    Raises:
        VideoError: naming the first that can't be read.
    """
    hashes = []
    for path in paths:
        try:
            if path.exists() and not path.is_file():
                raise VideoError("it is no regular file", "take it out")
            hashes.append(sha256_file(path))
        except FileNotFoundError:
            raise VideoError("the file is missing", "put it there, or take its name out") from None
        except OSError as error:
            raise VideoError(f"it can't be read: {error.strerror}", "check the file") from None
    return hashes


def _one(
    config: IngestConfig,
    media: Media,
    store: Store,
    pool: DecodePool,
    locks: _Locks,
    clip_id: str,
    source: _Source,
) -> tuple[dict[str, Any], bool]:
    """The index row of one clip, and whether it was decoded now."""
    from geovr.data.fingerprint import fingerprint
    from geovr.data.objects import BrokenObject, unseal
    from geovr.storage import sha256_bytes

    with ExitStack() as files:
        paths = [files.enter_context(media.open(name)) for name in source.names]
        hashes = _hashes(paths)
        sha256 = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode())
        sha256 = sha256 if isinstance(sha256, str) else sha256.hexdigest()
        # an image's bytes under a video's name are no video, whatever the store holds
        ending = "images.safetensors" if source.images else "safetensors"
        key = f"clips/{sampler_key(config)}/{sha256[:2]}/{sha256}.{ending}"
        files.enter_context(locks.of(key))
        tensors = None
        if store.exists(key):
            data = store.get(key)
            try:
                tensors = unseal(data)
            except BrokenObject as error:
                log.warning("%s: %s; decoding it again", store.uri_of(key), error)
        reused = tensors is not None
        if tensors is None:
            data = pool.decode(paths, images=source.images)
            tensors = unseal(data)
            if _hashes(paths) != hashes:
                raise VideoError("it changed while it was read", "run ingest again")
            store.put(key, data)
    frames = tensors["frames_THWC"]
    return {
        "clip_id": clip_id,
        "scene": source.scene or Path(source.names[0]).stem,
        "split": "",
        "kind": ("image" if len(source.names) == 1 else "images") if source.images else "video",
        "moving": not source.images and len(frames) > 1,
        "video_uri": media.uri_of(source.names[0]),
        "video_sha256": sha256,
        "frame_indices": tensors["frame_indices_T"].tolist(),
        "timestamps": tensors["timestamps_T"].tolist(),
        "num_frames": len(frames),
        "height": frames.shape[1],
        "width": frames.shape[2],
        "duration": float(tensors["duration"][0]),
        "object_key": key,
        "object_bytes": len(data),
        "object_sha256": sha256_bytes(data),
        "fingerprint": fingerprint(frames),
    }, not reused


def _join(
    questions: list[Question], rows: list[dict[str, Any]], sources: dict[str, _Source]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Questions with their clips; each clip takes the split of its questions, train first."""
    by_id = {str(row["clip_id"]): row for row in rows}
    by_names = {source.names: clip_id for clip_id, source in sources.items()}
    joined, aside, seen = [], [], dict[str, str]()
    for question in questions:
        clip_id = by_names.get(question.media)
        if clip_id is None and len(question.media) == 1:
            # benchmarks name an .mp4 where the video may have come as an .mkv
            clip_id = question.media[0].removesuffix(Path(question.media[0]).suffix)
        row_of = by_id.get(clip_id or "")
        if row_of is None:
            aside.append(
                _aside(
                    "question",
                    question.source,
                    f"question {question.id} is about {', '.join(question.media)}, which is"
                    " missing or was put aside",
                    "add the video, or take the question out",
                )
            )
            continue
        if question.id in seen:
            reason = f"its id {question.id} is that of {seen[question.id]} already"
            aside.append(_aside("question", question.source, reason, "give each its own id"))
            continue
        seen[question.id] = question.source
        if row_of["split"] != "train":
            row_of["split"] = question.split
        joined.append(_question_row(question, str(row_of["clip_id"])))
    order = ("split", "clip_id", "id")
    return sorted(joined, key=lambda row: tuple(str(row[name]) for name in order)), aside


def _question_row(question: Question, clip_id: str) -> dict[str, Any]:
    return {
        "id": question.id,
        "clip_id": clip_id,
        "split": question.split,
        "kind": question.kind,
        "question": question.question,
        "options": list(question.options) if question.options is not None else None,
        "answer": question.answer,
        "source": question.source,
        "extra": question.extra,
    }


def _without_nothing(row: dict[str, Any]) -> dict[str, Any]:
    """A question as the digest sees it: one without `extra` is what it was before there was any."""
    return {name: value for name, value in row.items() if name != "extra" or value is not None}


def _write(
    config: IngestConfig,
    output: Path,
    version: dict[str, Any] | None,
    rows: list[dict[str, Any]],
    questions: list[dict[str, Any]],
    quarantine: list[dict[str, str]],
    decoded: int,
    benchmark: dict[str, Any] | None = None,
) -> ClipSet:
    import pandas as pd

    from geovr.data import fingerprint
    from geovr.data.clips import (
        CLIP_COLUMNS,
        DERIVED_COLUMNS,
        QUARANTINE_COLUMNS,
        QUESTION_COLUMNS,
        index_content,
    )

    directory = start_output(output)
    for name, table, columns in (
        ("index", rows, CLIP_COLUMNS),
        ("questions", questions, QUESTION_COLUMNS),
        ("quarantine", quarantine, QUARANTINE_COLUMNS),
    ):
        data = pd.DataFrame(table, columns=list(columns)).to_parquet()
        write_atomic(directory / f"{name}.parquet", data)
    videos_aside = sum(row["what"] == "video" for row in quarantine)
    questions_aside = len(quarantine) - videos_aside
    clips = ClipSet.commit(
        directory,
        inputs={},
        config=config.model_dump(mode="json", exclude={"workers"}),
        counts={
            "videos_in": len(rows) + videos_aside,
            "clips": len(rows),
            "videos_quarantined": videos_aside,
            "questions_in": len(questions) + questions_aside,
            "questions": len(questions),
            "questions_quarantined": questions_aside,
        },
        store=Store.open(config.store).uri,
        content={
            "clips": index_content(rows, ("video_uri", *DERIVED_COLUMNS)),
            "questions": index_content(list(map(_without_nothing, questions)), ("source",)),
        },
        details={
            "sampler": config.sampler.model_dump(),
            "sampler_key": sampler_key(config),
            "dvc": version,
            "benchmark": benchmark,
            "fingerprint": fingerprint.VERSION,
            "protocol": config.protocol,
            "decoded": decoded,
            "reused": len(rows) - decoded,
        },
    )
    for line in _summary(clips, quarantine):
        log.info("%s", line)
    return clips


def _summary(clips: ClipSet, quarantine: list[dict[str, str]]) -> Iterator[str]:
    counts, details = clips.manifest.counts, clips.manifest.details
    yield (
        f"ingest: {counts['clips']} clips ({details['decoded']} decoded, {details['reused']}"
        f" reused), {counts['questions']} questions; put aside: {counts['videos_quarantined']}"
        f" videos, {counts['questions_quarantined']} questions"
    )
    for row in quarantine[:20]:
        yield f"  put aside {row['name']}: {row['reason']}; {row['remedy']}"
    if len(quarantine) > 20:
        yield f"  and {len(quarantine) - 20} more: see {clips.directory / 'quarantine.parquet'}"


def _pass_on(uri: str, output: Path) -> ClipSet:
    """A ClipSet that exists, verified, as this stage's output."""
    clips = ClipSet.load(uri)
    directory = start_output(output)
    for name in (*clips.manifest.files, "manifest.json"):
        write_atomic(directory / name, (clips.directory / name).read_bytes())
    log.info("ingest: passed on %s with %d clips", uri, len(clips.index))
    return ClipSet.load(directory)
