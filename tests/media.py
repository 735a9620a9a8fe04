"""Small media files of many kinds, made when they are needed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image


def picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A frame whose brightness tells its number (modulo 80), with a bright upper left corner."""
    frame = np.full((height, width, 3), 10 + 3 * (number % 80), dtype=np.uint8)
    frame[: height // 4, : width // 4] = 250
    return frame


def write_video(
    path: Path,
    times: list[float],
    *,
    size: tuple[int, int] = (64, 48),
    gop: int = 12,
    b_frames: int = 0,
) -> Path:
    """An H.264 file with a frame at each time (seconds)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(1000))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"crf": "10", "g": str(gop), "bf": str(b_frames), "keyint_min": str(gop)}
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """An mp4 file with sound only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 16000
        for number in range(10):
            frame.pts = number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def rotate(path: Path, target: Path, quarter_turns: int) -> Path:
    """A copy of an mp4 whose header says that it is shown turned clockwise."""
    matrices = {
        0: (1, 0, 0, 1),
        1: (0, 1, -1, 0),
        2: (-1, 0, 0, -1),
        3: (0, -1, 1, 0),
    }
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    # version 0: flags, times, id, reserved, duration, reserved, layer, group, volume, reserved
    at += 4 + 4 + 4 + 4 + 4 + 4 + 8 + 2 + 2 + 2 + 2
    a, b, c, d = (value * 0x10000 for value in matrices[quarter_turns])
    cells = [a, b, 0, c, d, 0, 0, 0, 0x40000000]
    data[at : at + 36] = b"".join((cell & 0xFFFFFFFF).to_bytes(4, "big") for cell in cells)
    target.write_bytes(data)
    return target


def write_image(path: Path, number: int = 0, size: tuple[int, int] = (64, 48)) -> Path:
    """A PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(number, *size)).save(path)
    return path


def encode(path: Path, codec: str, numbers: range, options: dict[str, str] | None = None) -> Path:
    """A 25 fps file of any codec and container, whose frames differ by more than brightness."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = options or {}
        for number in numbers:
            pixels = np.roll(picture(number % 60), 3 * number, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def remux(path: Path, target: Path, options: dict[str, str] | None = None) -> Path:
    """The same packets in another container, or laid out otherwise."""
    with av.open(str(path)) as source, av.open(str(target), "w", options=options or {}) as made:
        stream = made.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    return target


def trim(path: Path, target: Path, start_s: float, seconds: float) -> Path:
    """A copy of an mp4 whose edit list shows only a part, as phones trim recordings."""
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    start = int.from_bytes(data[at + 4 : at + 8], "big") + round(start_s / base)
    # durations are in the movie's unit, milliseconds here
    data[at : at + 8] = round(seconds * 1000).to_bytes(4, "big") + start.to_bytes(4, "big")
    target.write_bytes(data)
    return target


def cut(path: Path, target: Path, share: float) -> Path:
    """The first part of a file, as a broken download leaves it."""
    data = path.read_bytes()
    target.write_bytes(data[: round(len(data) * share)])
    return target


def write_huge(path: Path, width: int, height: int) -> Path:
    """One black frame of huge dimensions in a small file."""
    with av.open(str(path), "w") as made:
        stream = made.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "51"}
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path
