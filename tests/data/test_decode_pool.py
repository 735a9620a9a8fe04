"""Decoding processes that hang, die and run out of memory cost the file that did it, no other."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from pathlib import Path

import pytest

from geovr.data.decode_pool import DecodePool
from geovr.data.objects import unseal
from geovr.data.sampling import SamplerConfig
from geovr.data.video import LimitsConfig, VideoError
from geovr.errors import UserError
from tests.media import write_image, write_video

EIGHT = [0.5 * n for n in range(8)]

FAULTY = """
import os, time
from geovr.data import decode_worker
real = decode_worker.answer
served = 0
def answer(job, limits):
    global served
    served += 1
    name = os.path.basename(job["paths"][0])
    if "hang" in name: time.sleep(60)
    if "crash" in name: os.abort()
    if "spoil" in name: os._exit(7) if served > 1 else None
    if "bug" in name: decode_worker.decode_video = lambda *a: [][1]
    return real(job, limits)
decode_worker.answer = answer
decode_worker.main()
"""


@pytest.fixture
def command(tmp_path: Path) -> tuple[str, ...]:
    program = tmp_path / "faulty.py"
    program.write_text(textwrap.dedent(FAULTY))
    return (sys.executable, str(program))


@pytest.mark.fault(14, 15)
def test_a_hang_a_crash_and_a_bug_cost_one_file_each(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    names = ("fine", "hang", "crash", "spoil", "bug")
    files = {name: write_video(tmp_path / f"{name}.mp4", EIGHT) for name in names}
    with DecodePool(SamplerConfig(), LimitsConfig(seconds=1.5), command) as pool:
        whole = pool.decode([files["fine"]], images=False)
        # the process that has served before dies on it; a fresh one shows that the file is good
        assert pool.decode([files["spoil"]], images=False) == whole
        with pytest.raises(VideoError, match=r"the decoder crashed on it \(exit code -6\)"):
            pool.decode([files["crash"]], images=False)
        began = time.monotonic()
        with pytest.raises(VideoError, match="decoding took more than 2 s and was stopped"):
            pool.decode([files["hang"]], images=False)
        assert time.monotonic() - began < 30
        with pytest.raises(VideoError, match=r"it can't be decoded \(IndexError"):
            pool.decode([files["bug"]], images=False)


@pytest.mark.fault(14)
def test_a_process_that_died_while_idle_is_replaced(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", EIGHT)
    with DecodePool(SamplerConfig(), LimitsConfig()) as pool:
        first = pool.decode([path], images=False)
        process = pool._idle[0].process
        os.kill(process.pid, 9)
        process.wait()
        assert pool.decode([path], images=False) == first


def test_processes_that_never_start_stop_the_stage(tmp_path: Path) -> None:
    """It is no file's fault, so no file is put aside for it."""
    command = (sys.executable, "-c", "raise SystemExit(3)")
    with (
        DecodePool(SamplerConfig(), LimitsConfig(), command) as pool,
        pytest.raises(UserError, match=r"doesn't start \(exit code 3\).*memory_mb"),
    ):
        pool.decode([tmp_path / "v.mp4"], images=False)


@pytest.mark.fault(7)
def test_memory_is_limited_and_named_as_the_reason(tmp_path: Path) -> None:
    large = write_image(tmp_path / "large.png", size=(6000, 6000))
    small = write_video(tmp_path / "small.mp4", EIGHT)
    with DecodePool(SamplerConfig(), LimitsConfig(memory_mb=384)) as pool:
        with pytest.raises(VideoError, match="decoding needs more than 384 MB") as caught:
            pool.decode([large], images=True)
        assert "ingest.limits.memory_mb" in caught.value.remedy
        assert len(unseal(pool.decode([small], images=False))["frames_THWC"]) == 8


@pytest.mark.fault(52)
def test_no_secret_reaches_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    seen = tmp_path / "seen"
    program = f"import os; open({str(seen)!r}, 'w').write(repr(dict(os.environ)))"
    command = (sys.executable, "-c", program)
    with DecodePool(SamplerConfig(), LimitsConfig(), command) as pool, pytest.raises(UserError):
        pool.decode([tmp_path / "v.mp4"], images=False)
    assert "PATH" in seen.read_text() and "hidden" not in seen.read_text()
