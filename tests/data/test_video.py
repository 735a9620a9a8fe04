"""Decoding single files: the right frames at the right times, or a reason why there are none."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from geovr.data.sampling import SamplerConfig
from geovr.data.video import (
    LimitsConfig,
    VideoError,
    _packet_index,
    _read_frames,
    decode_images,
    decode_video,
)
from tests.media import (
    cut,
    encode,
    picture,
    remux,
    rotate,
    trim,
    write_huge,
    write_image,
    write_video,
)

TENTHS = [n / 10 for n in range(40)]
SIX = SamplerConfig(kind="uniform", num_frames=6)
LIMITS = LimitsConfig()


def numbers(frames: np.ndarray) -> list[int]:
    """Which pictures these are, told by their brightness."""
    return [round((int(frame[40, 40, 0]) - 10) / 3) for frame in frames]


CODECS = {
    "h264": ("libx264", "mp4", {"g": "8", "bf": "3", "x264-params": "b-pyramid=normal"}),
    "h264-open": ("libx264", "mkv", {"g": "8", "bf": "3", "x264-params": "open-gop=1"}),
    "h264-intra": ("libx264", "mov", {"g": "1"}),
    "h264-one-gop": ("libx264", "mp4", {"g": "200", "bf": "2", "sc_threshold": "0"}),
    "hevc-open": (
        "libx265", "mp4", {"x265-params": "keyint=8:bframes=3:open-gop=1:log-level=none"}
    ),
    "mpeg4": ("mpeg4", "mp4", {"g": "8", "bf": "2"}),
    "vp8": ("libvpx", "webm", {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "16"}),
    "vp9": ("libvpx-vp9", "webm", {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "16"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CODECS)
def test_a_seek_gives_the_frame_that_decoding_through_gives(name: str, tmp_path: Path) -> None:
    codec, ending, options = CODECS[name]
    path = encode(tmp_path / f"v.{ending}", codec, range(40), options)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        through = {
            frame.pts: frame.to_ndarray(format="rgb24") for frame in container.decode(stream)
        }
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pts_N, _, _ = _packet_index(container, stream)
        _, keys_N, _ = _packet_index_again(container, stream)
        assert sorted(through) == pts_N.tolist()
        for place in range(2, 40):
            # said to have key frames everywhere, so that it seeks; and the true ones
            for keys in (np.ones(40, bool), keys_N):
                got = _read_frames(container, stream, pts_N, keys, np.array([0, place]), 1024)
                assert (got[0] == through[pts_N[0]]).all(), place
                assert (got[1] == through[pts_N[place]]).all(), place


def _packet_index_again(container: object, stream: object) -> tuple[np.ndarray, np.ndarray, float]:
    container.seek(0)  # type: ignore[attr-defined]
    return _packet_index(container, stream)


def test_only_a_stride_beyond_the_gop_seeks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geovr.data import video

    runs: list[int] = []
    real = video._read_run

    def counting(container, stream, start, pts_N, wanted, max_side):  # type: ignore[no-untyped-def]
        runs.append(len(wanted))
        return real(container, stream, start, pts_N, wanted, max_side)

    monkeypatch.setattr(video, "_read_run", counting)
    for gop, expected in ((4, [1] * 6), (40, [6])):
        runs.clear()
        decode_video(write_video(tmp_path / f"{gop}.mp4", TENTHS, gop=gop), SIX, LIMITS)
        assert runs == expected


def test_skipped_frames_are_not_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from geovr.data import video

    converted = []
    real = video._upright
    monkeypatch.setattr(
        video, "_upright", lambda frame, side: converted.append(frame.pts) or real(frame, side)
    )
    decode_video(write_video(tmp_path / "v.mp4", TENTHS, gop=40), SIX, LIMITS)
    assert len(converted) == 6


@pytest.mark.parametrize("gop", [4, 40])
def test_a_trimmed_recording_gives_what_is_shown(gop: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", TENTHS, gop=gop)
    shown = decode_video(trim(path, tmp_path / "trimmed.mp4", 1.2, 2.0), SIX, LIMITS)
    assert numbers(shown.frames_THWC)[0] == 12 and numbers(shown.frames_THWC)[-1] in (31, 32)
    assert shown.timestamps_T[0] == 0 and 1.9 <= shown.duration <= 2.2
    assert shown.frame_indices_T[0] == 0
    start = decode_video(trim(path, tmp_path / "start.mp4", 0.0, 2.0), SIX, LIMITS)
    assert numbers(start.frames_THWC)[0] == 0 and numbers(start.frames_THWC)[-1] in (19, 20)


LAYOUTS = {
    "index at the end": ("mp4", {}),
    "index in front": ("mp4", {"movflags": "faststart"}),
    "fragments": ("mp4", {"movflags": "frag_keyframe+empty_moov"}),
    "matroska": ("mkv", {}),
}


@pytest.mark.fault(2, 3)
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_file_that_was_cut_off_says_so(name: str, tmp_path: Path) -> None:
    ending, options = LAYOUTS[name]
    source = write_video(tmp_path / "v.mp4", TENTHS, gop=4)
    whole = remux(source, tmp_path / f"whole.{ending}", options)
    assert numbers(decode_video(whole, SIX, LIMITS).frames_THWC) == [0, 8, 16, 23, 31, 39]
    for share in (0.1, 0.5, 0.9, 0.99):
        part = cut(whole, tmp_path / f"part.{ending}", share)
        with pytest.raises(VideoError, match=r"it is cut off: its header announces \d+ bytes"):
            decode_video(part, SIX, LIMITS)


def test_a_recording_without_sizes_is_read(tmp_path: Path) -> None:
    """Browsers record WebM as a stream: no index, no sizes, no duration."""
    source = encode(tmp_path / "v.webm", "libvpx", range(40), {"g": "8"})
    live = remux(source, tmp_path / "live.webm", {"live": "1"})
    for sampler in (SIX, SamplerConfig(kind="uniform", num_frames=3)):
        expected = decode_video(source, sampler, LIMITS)
        assert (decode_video(live, sampler, LIMITS).frames_THWC == expected.frames_THWC).all()


@pytest.mark.fault(9)
def test_variable_rates_are_sampled_by_time(tmp_path: Path) -> None:
    """A second of many frames, then nine of few: half a second apart all the same."""
    times = [n / 50 for n in range(50)] + [1 + n / 4 for n in range(36)]
    for gop in (4, 200):
        path = write_video(tmp_path / f"{gop}.mp4", times, gop=gop)
        decoded = decode_video(path, SamplerConfig(), LIMITS)
        assert len(decoded.frames_THWC) == 20
        assert decoded.duration == pytest.approx(10.0, abs=0.3)
        wanted = np.linspace(0, times[-1], 20)
        assert np.abs(decoded.timestamps_T - wanted).max() <= 0.126
        assert numbers(decoded.frames_THWC) == (decoded.frame_indices_T % 80).tolist()
        assert np.asarray(times)[decoded.frame_indices_T] == pytest.approx(
            decoded.timestamps_T, abs=1e-3
        )


@pytest.mark.parametrize(("seconds", "count"), [(1.0, 4), (10.0, 20), (40.0, 32)])
def test_two_frames_a_second_between_four_and_thirty_two(
    seconds: float, count: int, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "v.mp4", [n / 5 for n in range(round(seconds * 5))])
    decoded = decode_video(path, SamplerConfig(), LIMITS)
    assert len(decoded.frames_THWC) == count
    assert len(set(decoded.frame_indices_T.tolist())) == count


@pytest.mark.fault(8, 40)
def test_one_frame_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    for sampler in (SamplerConfig(), SIX, SamplerConfig(kind="uniform", num_frames=1)):
        decoded = decode_video(write_video(tmp_path / "v.mp4", [0.0]), sampler, LIMITS)
        assert decoded.timestamps_T.tolist() == [0.0]
        assert decoded.frames_THWC.shape == (1, 48, 64, 3)


@pytest.mark.fault(10)
@pytest.mark.parametrize("turns", [1, 3])
def test_rotation_holds_on_both_paths_and_when_scaled(turns: int, tmp_path: Path) -> None:
    for gop in (4, 40):
        path = write_video(tmp_path / f"{gop}.mp4", TENTHS, gop=gop)
        turned = rotate(path, tmp_path / "turned.mp4", turns)
        frames = decode_video(turned, SIX, LimitsConfig(max_side=32)).frames_THWC
        assert frames.shape == (6, 32, 24, 3)
        corner = frames[0][:4, -4:] if turns == 1 else frames[0][-4:, :4]
        assert corner.mean() > 200 and frames[0][14:18, 10:14].mean() < 60


def test_codecs_beyond_the_list_are_refused_by_name(tmp_path: Path) -> None:
    path = encode(tmp_path / "v.mkv", "ffv1", range(4))
    with pytest.raises(VideoError, match="codec ffv1 is not allowed") as caught:
        decode_video(path, SIX, LIMITS)
    assert "re-encode it as H.264" in caught.value.remedy


@pytest.mark.fault(5)
def test_containers_beyond_the_list_are_refused_whatever_their_name(tmp_path: Path) -> None:
    avi = encode(tmp_path / "v.avi", "mpeg4", range(4))
    with pytest.raises(VideoError, match="not a readable video") as caught:
        decode_video(avi.rename(tmp_path / "v.mp4"), SIX, LIMITS)
    assert "containers read are mov, mp4" in caught.value.remedy


@pytest.fixture
def listener() -> socket.socket:
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    yield server  # type: ignore[misc]
    server.close()


DISGUISES = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{pipe}\n#EXTINF:9,\n{url}\n"
    "#EXT-X-ENDLIST\n",
    "hls of an address": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {pipe}\nfile {url}\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    '<Period><AdaptationSet mimeType="video/mp4"><Representation id="0"><BaseURL>{url}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
}


@pytest.mark.fault(6)
@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", DISGUISES)
def test_a_playlist_in_disguise_opens_nothing(
    name: str, tmp_path: Path, listener: socket.socket
) -> None:
    """Opening the pipe would wait for a writer for ever; opening the address would connect."""
    os.mkfifo(tmp_path / "pipe.mp4")
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v.mp4"
    path = tmp_path / "v.mp4"
    path.write_text(DISGUISES[name].format(pipe="pipe.mp4", url=url))
    with pytest.raises(VideoError, match="not a readable video"):
        decode_video(path, SIX, LIMITS)
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.fault(7, 8)
def test_huge_frames_and_lengths_are_refused_by_the_header(tmp_path: Path) -> None:
    huge = write_huge(tmp_path / "huge.mp4", 8192, 4624)
    with pytest.raises(VideoError, match="its frames are 8192x4624, over the limit") as caught:
        decode_video(huge, SIX, LIMITS)
    assert "ingest.limits.max_pixels" in caught.value.remedy
    long = write_video(tmp_path / "long.mp4", [0.0, 30000.0])
    with pytest.raises(VideoError, match=r"it is \d+ s long, over the limit of 21600 s"):
        decode_video(long, SIX, LIMITS)


def test_images_take_the_size_of_the_first_and_stand_upright(tmp_path: Path) -> None:
    turned = Image.fromarray(picture(3))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise
    turned.save(tmp_path / "a.jpg", exif=exif)
    write_image(tmp_path / "b.png", 5, (96, 128))
    decoded = decode_images([tmp_path / "a.jpg", tmp_path / "b.png"], LIMITS)
    assert decoded.frames_THWC.shape == (2, 64, 48, 3)
    assert decoded.frames_THWC[0][:8, -8:].mean() > 200


@pytest.mark.fault(1, 2, 5, 7)
def test_bad_images_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    whole = write_image(tmp_path / "whole.png", 1, (640, 480))
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    Image.new("1", (9000, 9000)).save(tmp_path / "large.png")
    Image.new("L", (8, 8)).save(tmp_path / "gif.gif")
    (tmp_path / "gif.gif").rename(tmp_path / "gif.png")
    cut(whole, tmp_path / "cut.png", 0.5)
    for name, reason in (
        ("text.png", "not a readable"), ("empty.jpg", "not a readable"),
        ("cut.png", "not a readable"), ("gif.png", "not a readable"),
        ("bomb.png", "too many pixels"), ("large.png", "has 9000x9000 pixels"),
    ):  # fmt: skip
        with pytest.raises(VideoError, match=f"^{name} .*{reason}"):
            decode_images([whole, tmp_path / name], LIMITS)
