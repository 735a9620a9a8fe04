"""Video files with something wrong in them, made when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.media import encode

COLOURS = (
    (200, 40, 40), (40, 200, 40), (40, 40, 200), (230, 230, 230), (20, 20, 20), (200, 180, 30),
)  # fmt: skip
_MATRICES = {"bt601": (0.299, 0.114, 6), "bt709": (0.2126, 0.0722, 1)}
"""Weights of red and blue (ITU-R BT.601 and BT.709), and the number that files name them by."""


def patched(source: Path, target: Path, box: bytes, offset: int, value: bytes) -> Path:
    """A copy of an mp4 with some bytes of a box replaced; the offset counts from its name."""
    data = bytearray(source.read_bytes())
    at = data.index(box) + offset
    data[at : at + len(value)] = value
    target.write_bytes(data)
    return target


def damaged(source: Path, target: Path, number: int, count: int = 8) -> Path:
    """A copy with bytes changed in the middle of one frame's packet."""
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        place, size = packets[number].pos, packets[number].size
    data = bytearray(source.read_bytes())
    middle = place + size // 2
    for at in range(middle, middle + min(count, size // 2)):
        data[at] ^= 0x5A
    target.write_bytes(data)
    return target


def vp9_of_another_size(path: Path, width: int, height: int) -> Path:
    """A few hundred bytes whose container says 64x48, and whose frames say something else."""
    data = bytearray(encode(path, "libvpx-vp9", range(3), {"g": "1"}).read_bytes())
    sync, found = b"\x49\x83\x42", 0
    at = data.find(sync)
    while at >= 0:
        # VP9 key frames, profile 0: 4 bits of colour, then width - 1 and height - 1 in 16 bits each
        bits = int.from_bytes(data[at + 3 : at + 8], "big")
        sizes = (width - 1) << 16 | (height - 1)
        bits = bits & ~(0xFFFFFFFF << 4) | sizes << 4
        data[at + 3 : at + 8] = bits.to_bytes(5, "big")
        found += 1
        at = data.find(sync, at + 3)
    assert found == 3
    path.write_bytes(data)
    return path


def growing(path: Path, width: int, height: int) -> Path:
    """A VP8 file whose header and first frames are small, and whose last frame isn't."""
    small = encode(path.with_suffix(".small.webm"), "libvpx", range(4), {"g": "1"})
    large = path.with_suffix(".large.webm")
    with av.open(str(large), "w") as made:
        stream = made.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"deadline": "realtime", "cpu-used": "8"}
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    with av.open(str(small)) as first, av.open(str(large)) as then, av.open(str(path), "w") as made:
        stream = made.add_stream_from_template(first.streams.video[0])
        packets = [p for source in (first, then) for p in source.demux(video=0) if p.size]
        for number, packet in enumerate(packets):
            packet.stream, packet.pts, packet.dts = stream, 40 * number, 40 * number
            made.mux(packet)
    return path


@dataclass(frozen=True)
class Coding:
    """How colours are written."""

    codec: str
    pixels: str
    matrix: str = "bt601"
    full: bool = False
    depth: int = 8
    size: tuple[int, int] = (64, 48)
    pixel_aspect: Fraction | None = None


def write_colours(path: Path, coding: Coding) -> Path:
    """COLOURS, a frame each, coded by the formulas of ITU-R BT.601 and BT.709."""
    number = _MATRICES[coding.matrix][2]
    with av.open(str(path), "w") as made:
        stream = made.add_stream(coding.codec, rate=2)
        stream.width, stream.height = coding.size
        stream.pix_fmt = coding.pixels
        stream.options = {"crf": "4", "b": "0", "x265-params": "lossless=1:log-level=none"}
        context = stream.codec_context
        context.colorspace, context.color_range = number, 2 if coding.full else 1
        if coding.pixel_aspect is not None:
            context.sample_aspect_ratio = coding.pixel_aspect
        for place, colour in enumerate(COLOURS):
            frame = av.VideoFrame(*coding.size, coding.pixels)
            values = [*_components(colour, coding), (1 << coding.depth) - 1]
            for plane, value in zip(frame.planes, values, strict=False):
                kind = np.uint16 if coding.depth > 8 else np.uint8
                count = plane.buffer_size // np.dtype(kind).itemsize
                plane.update(np.full(count, value, kind).tobytes())
            frame.colorspace, frame.color_range = number, 2 if coding.full else 1
            frame.pts, frame.time_base = place, Fraction(1, 2)
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path


def _components(colour: tuple[int, int, int], coding: Coding) -> list[int]:
    """Luma and both colour differences, as numbers of the coding's depth and range."""
    red_share, blue_share, _ = _MATRICES[coding.matrix]
    red, green, blue = (value / 255 for value in colour)
    luma = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
    differences = (
        (blue - luma) / (2 * (1 - blue_share)),
        (red - luma) / (2 * (1 - red_share)),
    )
    if coding.full:
        most = (1 << coding.depth) - 1
        return [round(most * luma), *(round((most + 1) // 2 + most * d) for d in differences)]
    step = 1 << (coding.depth - 8)
    return [
        round(step * (16 + 219 * luma)),
        *(round(step * (128 + 224 * d)) for d in differences),
    ]


def write_streams(path: Path, kinds: tuple[str, ...]) -> Path:
    """A file with streams in this order: `sound`, `cover`, or `video:N` of brightness N."""
    with av.open(str(path), "w") as made:
        writers = [_stream(made, kind) for kind in kinds]
        for write in writers:
            write()
    return path


def _stream(made: av.container.OutputContainer, kind: str) -> Callable[[], None]:
    if kind == "sound":
        sound = made.add_stream("aac", rate=16000)

        def write_sound() -> None:
            for number in range(10):
                frame = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono"
                )
                frame.sample_rate, frame.pts = 16000, number * 1024
                made.mux(sound.encode(frame))
            made.mux(sound.encode(None))

        return write_sound
    name, _, brightness = kind.partition(":")
    stream = made.add_stream("mjpeg" if name == "cover" else "libx264", rate=10)
    stream.width, stream.height = 64, 48
    stream.pix_fmt = "yuvj420p" if name == "cover" else "yuv420p"
    if name == "cover":
        stream.disposition = av.stream.Disposition.attached_pic

    def write_pictures() -> None:
        for number in range(1 if name == "cover" else 8):
            pixels = np.full((48, 64, 3), int(brightness or 255), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))

    return write_pictures
