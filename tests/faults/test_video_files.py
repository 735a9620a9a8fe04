"""Video files that are broken or strange: a right clip, or put aside by name (faults 2 to 13)."""

from __future__ import annotations

import gzip
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from geovr.data.decode_pool import DecodePool
from geovr.data.objects import unseal
from geovr.data.sampling import SamplerConfig
from geovr.data.truncation import announced_size
from geovr.data.video import LimitsConfig, VideoError, decode_video
from tests.faults.files import (
    COLOURS,
    Coding,
    damaged,
    growing,
    patched,
    vp9_of_another_size,
    write_colours,
    write_streams,
)
from tests.media import encode, remux, rotate, write_image, write_video

SIX = SamplerConfig(kind="uniform", num_frames=6)
LIMITS = LimitsConfig()
TENTHS = [n / 10 for n in range(40)]


@pytest.fixture
def pool() -> Iterator[DecodePool]:
    """Strange files are opened where a crash costs nothing."""
    with DecodePool(SIX, LimitsConfig(seconds=20)) as pool:
        yield pool


def verdict(pool: DecodePool, path: Path) -> bytes | str:
    """The object, or why there is none."""
    try:
        return pool.decode([path], images=False)
    except VideoError as error:
        assert error.remedy
        return error.reason


def passed_when_cut(path: Path) -> list[int]:
    """The lengths to which a file can be cut and still be taken for a whole one."""
    passed = []
    for kept in range(path.stat().st_size - 1, 0, -1):
        os.truncate(path, kept)
        announced = announced_size(path)
        if announced is None or announced <= kept:
            try:
                decode_video(path, SIX, LIMITS)
                passed.append(kept)
            except VideoError:
                continue
    return passed


@pytest.mark.fault(2)
@pytest.mark.parametrize("options", [{}, {"movflags": "faststart"}], ids=["behind", "in front"])
def test_cut_off_at_any_byte_it_never_passes_for_a_shorter_video(
    options: dict[str, str], tmp_path: Path
) -> None:
    source = write_video(tmp_path / "v.mp4", TENTHS[:12], gop=4)
    assert passed_when_cut(remux(source, tmp_path / "whole.mp4", options)) == []


@pytest.mark.fault(2)
def test_a_recording_in_fragments_is_whole_at_the_end_of_one_only(tmp_path: Path) -> None:
    """There it says nothing of what should follow; everywhere else the cut is found."""
    source = write_video(tmp_path / "v.mp4", TENTHS[:12], gop=4)
    path = remux(source, tmp_path / "cut.mp4", {"movflags": "frag_keyframe+empty_moov"})
    whole = path.read_bytes()
    passed = passed_when_cut(path)
    assert {whole[kept + 4 : kept + 8] for kept in passed} == {b"moof", b"mfra"}


@pytest.mark.fault(3)
@pytest.mark.parametrize("way", ["gone", "renamed", "empty"])
def test_a_missing_index_is_named(way: str, tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", TENTHS)
    data = source.read_bytes()
    at = data.index(b"moov") - 4
    spoilt = {
        "gone": data[:at],
        "renamed": data[: at + 4] + b"moog" + data[at + 8 :],
        "empty": data[:at] + (8).to_bytes(4, "big") + b"moov",
    }[way]
    path = tmp_path / "spoilt.mp4"
    path.write_bytes(spoilt)
    with pytest.raises(VideoError, match=r"not a readable video|no video stream"):
        decode_video(path, SIX, LIMITS)


FUZZED = {
    "h264.mp4": lambda path: write_video(path, TENTHS[:8], gop=8, b_frames=2),
    "h264.mkv": lambda path: encode(path, "libx264", range(8), {"g": "4"}),
    "hevc.mp4": lambda path: encode(path, "libx265", range(8), {"x265-params": "log-level=none"}),
    "vp9.webm": lambda path: encode(path, "libvpx-vp9", range(8), {"g": "8"}),
}


@pytest.mark.fault(4)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FUZZED)
def test_random_bytes_get_one_verdict_and_harm_nobody(
    name: str, tmp_path: Path, pool: DecodePool
) -> None:
    """250 seeded files of each kind; every fifth is asked about again, of a fresh process."""
    good = FUZZED[name](tmp_path / name)
    whole = verdict(pool, good)
    assert isinstance(whole, bytes)
    data = good.read_bytes()
    random = np.random.default_rng(sum(name.encode()))
    path = tmp_path / f"spoilt-{name}"
    with DecodePool(SIX, pool.limits) as again:
        for number in range(250):
            spoilt = np.frombuffer(data, np.uint8).copy()
            places = random.integers(0, len(spoilt), random.integers(1, 12))
            spoilt[places] = random.integers(0, 256, len(places))
            path.write_bytes(spoilt.tobytes())
            found = verdict(pool, path)
            if isinstance(found, bytes):
                assert 1 <= len(unseal(found)["frames_THWC"]) <= 6
            else:
                assert "crashed" not in found and "more than 20 s" not in found, (number, found)
            if number % 5 == 0:
                assert verdict(again, path) == found, number
    assert verdict(pool, good) == whole


def web_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><title>404</title><body>Not found</body></html>")


def archive(path: Path) -> None:
    inner = write_video(path.with_suffix(".inner.mp4"), TENTHS[:4])
    with zipfile.ZipFile(path, "w") as packed:
        packed.write(inner, "../../inner.mp4")


def compressed(path: Path) -> None:
    path.write_bytes(gzip.compress(write_video(path.with_suffix(".inner.mp4"), [0.0]).read_bytes()))


def picture(path: Path) -> None:
    path.write_bytes(write_image(path.with_suffix(".png")).read_bytes())


@pytest.mark.fault(5)
@pytest.mark.parametrize("make", [web_page, archive, compressed, picture])
def test_what_is_no_video_is_called_none(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "v.mp4")
    with pytest.raises(VideoError, match="not a readable video") as caught:
        decode_video(tmp_path / "v.mp4", SIX, LIMITS)
    assert "containers read are" in caught.value.remedy


def peak_mb(pool: DecodePool) -> float:
    """The most memory that the decoding process has held so far."""
    status = Path(f"/proc/{pool._idle[0].process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


@pytest.mark.fault(7)
def test_frames_of_16k_in_a_small_file_take_no_memory(tmp_path: Path, pool: DecodePool) -> None:
    assert isinstance(verdict(pool, write_video(tmp_path / "good.mp4", TENTHS)), bytes)
    before = peak_mb(pool)
    bomb = vp9_of_another_size(tmp_path / "bomb.webm", 16384, 16384)
    assert bomb.stat().st_size < 1024
    assert isinstance(verdict(pool, bomb), str)
    # one such frame would be 384 MB as YUV and 768 MB as RGB
    assert peak_mb(pool) - before < 50


@pytest.mark.fault(7)
def test_frames_that_grow_behind_a_modest_header_take_no_memory(tmp_path: Path) -> None:
    """The header says 64x48; only the decoder meets the frame of 4096x4096."""
    small = write_video(tmp_path / "small.mp4", TENTHS)
    bomb = growing(tmp_path / "bomb.webm", 4096, 4096)
    with DecodePool(SIX, LimitsConfig(max_pixels=1280 * 720)) as pool:
        assert isinstance(verdict(pool, small), bytes)
        before = peak_mb(pool)
        assert isinstance(verdict(pool, bomb), str)
        # one such frame would be 24 MB as YUV and 48 MB as RGB
        assert peak_mb(pool) - before < 20


HEADERS: dict[str, tuple[bytes, int, bytes, str]] = {
    "an hour between frames": (b"stts", 16, (0x7FFFFFFF).to_bytes(4, "big"), r"it is \d+ s long"),
    "no time between frames": (b"stts", 16, bytes(4), "two of its frames have one time"),
    "2 billion frames": (b"stsz", 12, (0x7FFFFFFF).to_bytes(4, "big"), "not a readable video"),
    "no frames": (b"stsz", 12, bytes(4), "it has no frames"),
    "no frames at all of one size": (
        b"stsz", 8, (1).to_bytes(4, "big") + (0x0FFFFFFF).to_bytes(4, "big"), "it has no frames",
    ),
    "10^9 s": (b"mvhd", 20, (0xFFFFFFF0).to_bytes(4, "big"), ""),
    "a track of 10^9 s": (b"mdhd", 20, (0xFFFFFFF0).to_bytes(4, "big"), ""),
    "a billion ticks a second": (b"mdhd", 16, (10**9).to_bytes(4, "big"), ""),
    "no ticks a second": (b"mdhd", 16, bytes(4), ""),
    "frames of 65535 in the track": (b"tkhd", 80, b"\xff\xff\0\0\xff\xff\0\0", ""),
}  # fmt: skip
"""A box, an offset from its name, what is written there, and the reason; none: frames come out."""


@pytest.mark.fault(8)
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HEADERS)
def test_absurd_headers_have_a_defined_result(name: str, tmp_path: Path) -> None:
    box, offset, value, reason = HEADERS[name]
    source = write_video(tmp_path / "v.mp4", TENTHS, gop=4)
    path = patched(source, tmp_path / "absurd.mp4", box, offset, value)
    if reason:
        with pytest.raises(VideoError, match=reason):
            decode_video(path, SIX, LIMITS)
    else:
        decoded = decode_video(path, SIX, LIMITS)
        assert decoded.frames_THWC.shape[1:] == (48, 64, 3)
        assert 0 < decoded.duration <= LIMITS.max_duration_s
        assert (np.diff(decoded.timestamps_T) > 0).all()


@pytest.mark.fault(8)
@pytest.mark.parametrize("frames", [2, 3])
def test_a_few_frames_are_a_clip_of_as_many(frames: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", TENTHS[:frames])
    assert len(decode_video(path, SamplerConfig(), LIMITS).frames_THWC) == frames
    fast = write_video(tmp_path / "fast.mp4", [n / 1000 for n in range(500)])
    decoded = decode_video(fast, SamplerConfig(), LIMITS)
    assert len(decoded.frames_THWC) == 4 and decoded.duration == pytest.approx(0.5)


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    ("turns", "filters"),
    [(1, ["transpose=clock"]), (2, ["hflip", "vflip"]), (3, ["transpose=cclock"])],
)
def test_frames_are_turned_as_ffmpegs_own_filters_do(
    turns: int, filters: list[str], tmp_path: Path
) -> None:
    source = encode(tmp_path / "v.mp4", "libx264", range(8))
    graph = av.filter.Graph()
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        names = [("format", "rgb24"), *((one.partition("=")[::2]) for one in filters)]
        nodes = [
            graph.add_buffer(template=stream),
            *(graph.add(name, args or None) for name, args in names),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        graph.push(next(container.decode(stream)))
        expected = graph.pull().to_ndarray()
    turned = rotate(source, tmp_path / "turned.mp4", turns)
    frame = decode_video(turned, SIX, LIMITS).frames_THWC[0]
    assert frame.shape == expected.shape == ((64, 48, 3) if turns != 2 else (48, 64, 3))
    assert (frame == expected).all()


STREAMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sound first": ("mp4", ("sound", "video:60")),
    "sound first in Matroska": ("mkv", ("sound", "video:60")),
    "two videos": ("mp4", ("video:60", "video:200")),
    "two videos in Matroska": ("mkv", ("video:60", "video:200")),
    "a cover": ("mp4", ("cover", "video:60")),
    "a cover and sound": ("mp4", ("cover", "sound", "video:60", "video:200")),
}


@pytest.mark.fault(11)
@pytest.mark.parametrize("name", STREAMS)
def test_the_first_real_video_is_taken(name: str, tmp_path: Path) -> None:
    ending, kinds = STREAMS[name]
    path = write_streams(tmp_path / f"v.{ending}", kinds)
    frames = decode_video(path, SIX, LIMITS).frames_THWC
    assert frames.shape == (6, 48, 64, 3) and np.abs(frames.astype(int) - 60).max() <= 3


@pytest.mark.fault(11)
@pytest.mark.parametrize("kinds", [("sound",), ("cover", "sound")])
def test_sound_alone_is_named(kinds: tuple[str, ...], tmp_path: Path) -> None:
    path = write_streams(tmp_path / "v.mp4", kinds)
    with pytest.raises(VideoError, match="it has no video stream"):
        decode_video(path, SIX, LIMITS)


CODINGS = {
    "bt601": Coding("libx264", "yuv420p"),
    "bt709": Coding("libx264", "yuv420p", "bt709"),
    "full range, old name": Coding("libx264", "yuvj420p", full=True),
    "full range": Coding("libx264", "yuv420p", "bt709", full=True),
    "10 bits": Coding("libx264", "yuv420p10le", "bt709", depth=10),
    "10 bits, hevc": Coding("libx265", "yuv420p10le", "bt709", depth=10),
    "10 bits, 4:2:2": Coding("libx264", "yuv422p10le", "bt709", depth=10),
    "4:4:4": Coding("libx264", "yuv444p", "bt709"),
    "odd size": Coding("libvpx-vp9", "yuv420p", size=(65, 49)),
    "odd size, h264": Coding("libx264", "yuv444p", size=(65, 49)),
    "alpha": Coding("libvpx-vp9", "yuva420p"),
    "pixels that are not square": Coding("libx264", "yuv420p", pixel_aspect=Fraction(4, 3)),
}


@pytest.mark.fault(12)
@pytest.mark.parametrize("name", CODINGS)
def test_colours_are_those_of_the_standards_formulas(name: str, tmp_path: Path) -> None:
    coding = CODINGS[name]
    ending = "webm" if "vpx" in coding.codec else "mp4"
    path = write_colours(tmp_path / f"v.{ending}", coding)
    frames = decode_video(path, SIX, LIMITS).frames_THWC
    assert frames.shape == (6, *coding.size[::-1], 3)
    off = np.abs(frames.astype(int) - np.asarray(COLOURS)[:, None, None])
    assert off.max() <= 4


def hidden(source: Path, target: Path) -> Path:
    """A copy with one damaged frame, of frames 13 to 22, that the decoder repairs in silence."""
    for number in range(13, 23):
        damaged(source, target, number)
        try:
            with av.open(str(target)) as container:
                frames = list(container.decode(video=0))
        except av.error.FFmpegError:
            continue
        if len(frames) == 40 and any(frame.is_corrupt for frame in frames):
            return target
    pytest.fail("no damage that the decoder hides")


@pytest.mark.fault(13)
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_damage_that_the_decoder_hides_is_counted(codec: str, tmp_path: Path) -> None:
    """The group's later frames are built on it; those of other groups are not."""
    source = encode(tmp_path / "v.mp4", codec, range(40), {"g": "12", "bf": "0"})
    path = hidden(source, tmp_path / "damaged.mp4")
    with pytest.raises(VideoError, match=r"[1-9] of its frames are damaged, in groups") as told:
        decode_video(path, SIX, LIMITS)
    assert "copy it again" in told.value.remedy
    two = SamplerConfig(kind="uniform", num_frames=2)
    ends = decode_video(path, two, LIMITS).frames_THWC
    assert (ends == decode_video(source, two, LIMITS).frames_THWC).all()


@pytest.mark.fault(13)
def test_a_frame_that_the_decoder_leaves_out_spoils_those_behind_it(tmp_path: Path) -> None:
    source = encode(tmp_path / "v.mp4", "mpeg4", range(40), {"g": "40"})
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][20]
    noise = np.random.default_rng(0).bytes(packet.size - 5)
    data[packet.pos + 5 : packet.pos + packet.size] = noise
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 39
    with pytest.raises(VideoError, match=r"1 of its frames are damaged, in groups .* 6 of its 6"):
        decode_video(path, SIX, LIMITS)
