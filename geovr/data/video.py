"""Decoding one untrusted file to sampled, upright RGB frames. Runs in a limited worker process.

Shape suffixes: N frames of the source, T sampled frames, H W pixels, C colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from geovr.config import Config
from geovr.data.sampling import SamplerConfig, choose_frames
from geovr.data.truncation import announced_size

CONTAINERS = ("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm")
CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "mpeg4")
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
IMAGE_FORMATS = ("JPEG", "PNG")


class LimitsConfig(Config):
    """What one file may cost before it is put aside."""

    seconds: float = Field(120.0, gt=0, description="Wall-clock seconds for one file.")
    memory_mb: int = Field(4096, gt=0, description="Address space of a decoding process.")
    max_pixels: int = Field(8192 * 4608, gt=0, description="Pixels of a frame.")
    max_duration_s: float = Field(6 * 3600.0, gt=0, description="Length of a video.")
    max_side: int = Field(1024, gt=0, description="Longer side of the frames that are kept.")


class VideoError(Exception):
    """A file that can't be a clip: the reason, and what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True)
class Decoded:
    """Sampled frames of one file."""

    frames_THWC: np.ndarray
    timestamps_T: np.ndarray
    frame_indices_T: np.ndarray
    duration: float


def decode_video(path: Path, sampler: SamplerConfig, limits: LimitsConfig) -> Decoded:
    """Sample and decode a video file.

    Raises:
        VideoError: with reason and remedy, whatever is wrong with the file.
    """
    import av

    size = path.stat().st_size
    if size == 0:
        raise VideoError("the file is empty", "copy it again")
    announced = announced_size(path)
    if announced is not None and announced > size:
        raise VideoError(
            f"it is cut off: its header announces {announced} bytes, {size} are there",
            "copy it again",
        )
    # the lists keep a playlist in disguise from opening other files or addresses
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(CONTAINERS),
        "codec_whitelist": ",".join(CODECS),
        # of frames that are larger than the header says
        "max_pixels": str(limits.max_pixels),
    }
    try:
        with av.open(str(path), options=options) as container:
            return _decode_container(container, sampler, limits)
    except MemoryError:
        raise  # FFmpeg's own too: the limit's fault, not the file's
    except (av.error.FFmpegError, EOFError) as error:
        raise VideoError(
            f"not a readable video ({error.__class__.__name__})",
            f"re-encode it as H.264 mp4; containers read are {', '.join(CONTAINERS)}",
        ) from None


def _decode_container(container: Any, sampler: SamplerConfig, limits: LimitsConfig) -> Decoded:
    streams = [s for s in container.streams.video if not _is_cover(s)]
    if not streams:
        raise VideoError("it has no video stream", "take it out of the videos, or add a picture")
    stream = streams[0]
    codec = stream.codec_context
    if codec is None or codec.name not in CODECS:
        name = codec.name if codec is not None else "unknown"
        raise VideoError(f"codec {name} is not allowed", "re-encode it as H.264")
    width, height = codec.width, codec.height
    if width * height > limits.max_pixels:
        raise VideoError(
            f"its frames are {width}x{height}, over the limit of {limits.max_pixels} pixels",
            "scale it down, or raise ingest.limits.max_pixels",
        )
    codec.thread_count = 1
    codec.options = {"max_pixels": str(limits.max_pixels)}
    pts_N, keys_N, duration = _packet_index(container, stream)
    if duration > limits.max_duration_s:
        raise VideoError(
            f"it is {duration:.0f} s long, over the limit of {limits.max_duration_s:.0f} s",
            "cut it, or raise ingest.limits.max_duration_s",
        )
    base = float(stream.time_base)
    times_N = (pts_N - pts_N[0]) * base
    chosen = choose_frames(times_N, duration, sampler)
    if not len(chosen):
        raise VideoError(
            f"it is too short for {sampler.kind} at {sampler.fps:g} frames a second",
            "take it out, or raise ingest.sampler.fps",
        )
    frames = _read_frames(container, stream, pts_N, keys_N, chosen, limits.max_side)
    return Decoded(np.stack(frames), times_N[chosen], chosen, duration)


def _is_cover(stream: Any) -> bool:
    import av

    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _packet_index(container: Any, stream: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """Presentation times (in the stream's unit, ascending), key-frame flags, seconds in all.

    What an edit list hides (the trimmed ends of a phone's recording) is not presented.
    """
    packets = [
        (packet.pts, packet.is_keyframe, packet.duration or 0)
        for packet in container.demux(stream)
        if packet.size and packet.pts is not None and not packet.is_discard
    ]
    if not packets:
        raise VideoError("it has no frames", "copy or encode it again")
    packets.sort()
    pts_N = np.asarray([pts for pts, _, _ in packets], dtype=np.int64)
    if len(np.unique(pts_N)) < len(pts_N):
        raise VideoError("two of its frames have one time", "re-encode it")
    # some files give their last frame no time of its own, or next to none
    usual = int(np.median(np.diff(pts_N))) if len(pts_N) > 1 else 0
    last = max(packets[-1][2], usual)
    duration = float((pts_N[-1] - pts_N[0] + last) * stream.time_base)
    return pts_N, np.asarray([key for _, key, _ in packets]), duration


def _read_frames(
    container: Any,
    stream: Any,
    pts_N: np.ndarray,
    keys_N: np.ndarray,
    chosen: np.ndarray,
    max_side: int,
) -> list[np.ndarray]:
    """The chosen frames; only they are converted to RGB."""
    keys = np.flatnonzero(keys_N)
    longest_gop = int(np.diff(np.append(keys, len(pts_N))).max()) if len(keys) else len(pts_N)
    places = np.unique(chosen)
    stride = int(np.diff(places).min()) if len(places) > 1 else 0
    wanted = pts_N[chosen].tolist()
    found: dict[int, np.ndarray] = {}
    damaged: set[int] = set()
    if stride > longest_gop:
        # else seeking would decode each group of pictures several times
        for place in places.tolist():
            before = keys[keys <= place]
            start = int(pts_N[before[-1]]) if len(before) else int(pts_N[0])
            run = _read_run(container, stream, start, pts_N, {int(pts_N[place])}, max_side)
            found, damaged = found | run[0], damaged | run[1]
    missing = set(wanted) - found.keys()
    if missing:
        # also where a seek came out behind its frame, as it can with open groups of pictures
        run = _read_run(container, stream, int(pts_N[0]), pts_N, missing, max_side)
        found, damaged = found | run[0], damaged | run[1]
    lost = len(set(wanted) - found.keys())
    if lost:
        raise VideoError(
            f"{lost} of its {len(chosen)} sampled frames can't be decoded", "re-encode it"
        )
    _refuse_damage(damaged, pts_N, keys, chosen)
    frames = [found[pts] for pts in wanted]
    if len({frame.shape for frame in frames}) > 1:
        raise VideoError("its frames change size", "re-encode it at one size")
    return frames


def _read_run(
    container: Any, stream: Any, start: int, pts_N: np.ndarray, wanted: set[int], max_side: int
) -> tuple[dict[int, np.ndarray], set[int]]:
    """What decoding from the key frame at or before `start` gives: the wanted frames, and the
    times of all those from `start` on that the decoder had to make up or to leave out.
    """
    found: dict[int, np.ndarray] = {}
    damaged: set[int] = set()
    seen: set[int] = set()
    last = max(wanted)
    container.seek(start, stream=stream)
    for frame in container.decode(stream):
        if frame.pts is None:
            continue
        seen.add(frame.pts)
        # what comes before its key frame refers to frames that a seek has passed over
        if frame.is_corrupt and frame.pts >= start:
            damaged.add(frame.pts)
        if frame.pts in wanted:
            found[frame.pts] = _upright(frame, max_side)
        if len(found) == len(wanted) or frame.pts > last:
            break
    if found:
        between = (pts_N >= max(start, min(seen))) & (pts_N <= max(found))
        damaged |= set(pts_N[between].tolist()) - seen
    return found, damaged


def _refuse_damage(
    damaged: set[int], pts_N: np.ndarray, keys: np.ndarray, chosen: np.ndarray
) -> None:
    """Frames refer to others of their group of pictures, earlier and later, and damage spreads so.

    Raises:
        VideoError: when a group that a chosen frame belongs to is damaged.
    """
    groups = np.searchsorted(keys, np.searchsorted(pts_N, sorted(damaged)), side="right")
    spoilt = np.isin(np.searchsorted(keys, chosen, side="right"), groups)
    if spoilt.any():
        raise VideoError(
            f"{len(damaged)} of its frames are damaged, in groups of pictures with"
            f" {spoilt.sum()} of its {len(chosen)} sampled ones",
            "copy it again; re-encoded, it is taken as it looks",
        )


def _upright(frame: Any, max_side: int) -> np.ndarray:
    """RGB, turned as the display matrix says, and no larger than allowed."""
    share = max_side / max(frame.width, frame.height)
    if share < 1:
        frame_rgb = frame.reformat(
            max(1, round(frame.width * share)), max(1, round(frame.height * share)), "rgb24"
        )
    else:
        frame_rgb = frame.reformat(format="rgb24")
    pixels: np.ndarray = frame_rgb.to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def decode_images(paths: list[Path], limits: LimitsConfig) -> Decoded:
    """Still images as frames of one clip, all at the size of the first.

    Raises:
        VideoError: naming the image that can't be read.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    frames: list[np.ndarray] = []
    for path in paths:
        try:
            with Image.open(path, formats=IMAGE_FORMATS) as image:
                if image.width * image.height > limits.max_pixels:
                    raise VideoError(
                        f"{path.name} has {image.width}x{image.height} pixels, over the limit",
                        "scale it down, or raise ingest.limits.max_pixels",
                    )
                upright = ImageOps.exif_transpose(image).convert("RGB")
                upright.thumbnail((limits.max_side, limits.max_side), Image.Resampling.LANCZOS)
                if frames and upright.size != frames[0].shape[1::-1]:
                    upright = upright.resize(frames[0].shape[1::-1], Image.Resampling.LANCZOS)
                frames.append(np.asarray(upright))
        except Image.DecompressionBombError:
            raise VideoError(
                f"{path.name} has too many pixels", "scale it down to less than 100 megapixels"
            ) from None
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            raise VideoError(
                f"{path.name} is not a readable JPEG or PNG ({error})", "save it again"
            ) from None
    places = np.arange(len(frames))
    return Decoded(np.stack(frames), places.astype(np.float64), places, float(len(frames)))
