"""The clips of all files, each decoded once and kept under its content's key."""

from __future__ import annotations

import hashlib
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geovr.data.video import VideoError
from geovr.ingesting.config import IngestConfig, sampler_key
from geovr.ingesting.joining import Source, put_aside
from geovr.machine import usable_cores
from geovr.storage import Store, sha256_file

if TYPE_CHECKING:
    from geovr.data.decode_pool import DecodePool
    from geovr.data.media import Media

log = logging.getLogger("geovr")


def decode_all(
    config: IngestConfig, media: Media, sources: dict[str, Source]
) -> tuple[list[dict[str, Any]], list[dict[str, str]], int]:
    """Index rows, what was put aside, and how many files were decoded now."""
    from geovr.data.decode_pool import DecodePool
    from geovr.progress import progress

    store = Store.open(config.store)
    rows, failed, decoded, locks = [], [], 0, _Locks()
    with (
        DecodePool(config.sampler, config.limits) as pool,
        ThreadPoolExecutor(config.workers or usable_cores()) as threads,
        progress("ingest", len(sources), "files") as bar,
    ):

        def one(item: tuple[str, Source]) -> tuple[dict[str, Any], bool] | VideoError:
            try:
                return _one(config, media, store, pool, locks, *item)
            except VideoError as error:
                return error

        for clip_id, result in zip(sources, threads.map(one, sources.items()), strict=True):
            bar.advance()
            if isinstance(result, VideoError):
                name = "+".join(sources[clip_id].names)
                failed.append(put_aside("video", name, result.reason, result.remedy))
                continue
            rows.append(result[0])
            decoded += result[1]
    return sorted(rows, key=lambda row: str(row["clip_id"])), failed, decoded


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
    source: Source,
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
