"""The files of `geovr simulate`: layouts, videos, resuming, determinism, bad values."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from geovr.config import validate
from geovr.errors import UserError
from geovr.simulation.record import read_record
from geovr.simulation.simulate import SimulateConfig, simulate
from geovr.simulation.video import encode_mp4
from tests.simulation.conftest import FRAMES, HEIGHT, TEST, TRAIN, WIDTH, Rendered, config

KINDS = {
    "object_counting",
    "room_size_estimation",
    "path_length",
    "displacement",
    "farthest_surface",
    "nearest_surface",
    "turn",
    "dominant_colour",
}
CHOICE = {"turn", "dominant_colour"}


def _files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_counts_add_up(rendered: Rendered) -> None:
    print(f"\nsimulate: {rendered.summary['frames_per_second']} frames/s on 2 processes")
    summary = rendered.summary
    assert summary["scenes"] == {"test": TEST, "train": TRAIN}
    assert summary["made"] == TRAIN + TEST and summary["kept"] == 0
    assert summary["frames"] == FRAMES * (TRAIN + TEST)
    assert summary["questions"] == {"test": len(rendered.test), "train": len(rendered.train)}
    objects = {"test": len(rendered.test_objects), "train": len(rendered.train_objects)}
    assert summary["object_questions"] == objects
    every = [*summary["questions"].values(), *objects.values()]
    assert sum(summary["questions_by_kind"].values()) == sum(every)
    assert len(list((rendered.root / "videos/rooms").iterdir())) == TRAIN + TEST
    assert len(list((rendered.root / "ground_truth").iterdir())) == TRAIN + TEST


def test_training_rows_have_the_vsi_590k_layout(rendered: Rendered) -> None:
    for row in rendered.train:
        assert set(row) == {"conversations", "video", "question_type"}
        human, gpt = row["conversations"]
        assert human["from"] == "human" and gpt["from"] == "gpt"
        assert human["value"].startswith("<image>\nThese are frames of a video.\n")
        assert re.fullmatch(r"rooms/train-\d{5}\.mp4", row["video"])
        assert (rendered.root / "videos" / row["video"]).is_file()
        assert row["question_type"] in KINDS
        lines = human["value"].splitlines()
        if row["question_type"] in CHOICE:
            assert lines[3] == "Options:"
            assert [line[:3] for line in lines[4:8]] == ["A. ", "B. ", "C. ", "D. "]
            assert gpt["value"] in "ABCD" and "letter" in lines[8] and len(lines) == 9
        else:
            assert float(gpt["value"]) > 0 and len(lines) == 4


def test_test_rows_have_the_vsi_bench_layout(rendered: Rendered) -> None:
    keys = ["id", "dataset", "scene_name", "question_type", "question"]
    keys += ["ground_truth", "options"]
    assert [row["id"] for row in rendered.test] == list(range(len(rendered.test)))
    for row in rendered.test:
        assert list(row) == keys
        assert row["dataset"] == "rooms" and row["question_type"] in KINDS
        assert (rendered.root / "videos/rooms" / f"{row['scene_name']}.mp4").is_file()
        if row["question_type"] in CHOICE:
            assert [option[:3] for option in row["options"]] == ["A. ", "B. ", "C. ", "D. "]
            assert len(set(row["options"])) == 4 and row["ground_truth"] in "ABCD"
        else:
            assert row["options"] is None and float(row["ground_truth"]) > 0


def test_train_and_test_scenes_are_disjoint(rendered: Rendered) -> None:
    train = {Path(row["video"]).stem for row in rendered.train}
    test = {row["scene_name"] for row in rendered.test}
    assert len(train) == TRAIN and len(test) == TEST and not train & test
    rooms = {(s["room"]["width"], s["room"]["depth"]) for s in rendered.scenes}
    assert len(rooms) == TRAIN + TEST
    assert len({tuple(s["seed"]) for s in rendered.scenes}) == TRAIN + TEST


def test_videos_are_h264_of_the_right_size_rate_and_length(rendered: Rendered) -> None:
    for scene in rendered.scenes[::10]:
        with av.open(str(rendered.root / scene["video"])) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
            frames = list(container.decode(stream))
        assert len(frames) == FRAMES == scene["frames"]
        assert {(frame.height, frame.width) for frame in frames} == {(HEIGHT, WIDTH)}
        times = [float(frame.pts * frame.time_base) for frame in frames]
        assert np.allclose(times, rendered.truth(scene)["timestamps_N"], atol=1e-6)
        assert np.allclose(np.diff(times), 0.5)


def test_furniture_keeps_its_colour_through_the_encoder(rendered: Rendered) -> None:
    """Red pieces are red in the decoded video where the instance ids say they are."""
    checked = 0
    for scene in rendered.scenes[:60]:
        ids = [i + 1 for i, o in enumerate(scene["objects"]) if o["colour"] == "red"]
        mask = np.isin(rendered.truth(scene)["instance_NHW"], ids)
        if mask.sum() < 200:
            continue
        with av.open(str(rendered.root / scene["video"])) as container:
            rgb = np.stack(
                [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            )
        red, green, blue = rgb[mask].astype(float).mean(axis=0)
        assert red > 1.5 * green and red > 1.5 * blue
        checked += 1
    assert checked >= 5


def test_ground_truth_tensors(rendered: Rendered) -> None:
    truth = rendered.truth(rendered.scenes[0])
    shapes = {name: (str(tensor.dtype), tensor.shape) for name, tensor in truth.items()}
    assert shapes == {
        "camera_from_world_N44": ("float32", (FRAMES, 4, 4)),
        "intrinsics_N33": ("float32", (FRAMES, 3, 3)),
        "depth_NHW": ("float32", (FRAMES, HEIGHT, WIDTH)),
        "instance_NHW": ("uint8", (FRAMES, HEIGHT, WIDTH)),
        "timestamps_N": ("float64", (FRAMES,)),
    }


def test_same_seed_same_bytes_whatever_the_number_of_processes(
    rendered: Rendered, tmp_path: Path
) -> None:
    simulate(config(tmp_path, train_scenes=6, test_scenes=3, processes=1))
    again, before = _files(tmp_path), _files(rendered.root)
    for name in ("questions", "object_questions"):
        for file in (f"train_{name}.jsonl", f"test_{name}.jsonl"):
            assert again[file] and before[file].startswith(again[file])
    folders = ("videos/", "ground_truth/", "object_questions/")
    compared = [name for name in again if name.startswith(folders)]
    assert len(compared) == 27
    assert all(again[name] == before[name] for name in compared)


def test_the_encoder_gives_the_same_bytes_every_time(rendered: Rendered) -> None:
    """x264's macroblock tree did not, about once in 300 clips, depending on the heap."""
    with av.open(str(rendered.root / rendered.scenes[0]["video"])) as container:
        rgb = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    rng, heap, found = np.random.default_rng(0), [], set()
    for _ in range(300):
        heap = [*heap[-12:], rng.random(int(rng.integers(1, 60_000)))]
        found.add(encode_mp4(rgb, 2))
    assert len(found) == 1


def test_another_seed_gives_other_rooms(rendered: Rendered, tmp_path: Path) -> None:
    simulate(config(tmp_path, train_scenes=1, test_scenes=0, seed=8))
    name = "videos/rooms/train-00000.mp4"
    assert (tmp_path / name).read_bytes() != (rendered.root / name).read_bytes()


@pytest.mark.fault(24)
def test_a_rerun_makes_only_what_is_missing_or_damaged(tmp_path: Path) -> None:
    asked = config(tmp_path, train_scenes=5, test_scenes=3, processes=1)
    simulate(asked)
    first = _files(tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("videos/rooms/*")}
    assert simulate(asked)["made"] == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("videos/rooms/*")} == stamps

    (tmp_path / "videos/rooms/train-00001.mp4").write_bytes(b"cut")
    truth = tmp_path / "ground_truth/test-00002.safetensors"
    truth.write_bytes(truth.read_bytes()[:-10])
    (tmp_path / "ground_truth/train-00003.safetensors").unlink()
    summary = simulate(asked)
    assert (summary["made"], summary["kept"]) == (3, 5)
    assert _files(tmp_path) == first


def test_other_counts_leave_no_strangers_and_touch_no_foreign_file(tmp_path: Path) -> None:
    simulate(config(tmp_path, train_scenes=4, test_scenes=2, processes=1))
    mine = tmp_path / "videos/rooms/mine.mp4"
    mine.write_bytes(b"mine")
    summary = simulate(config(tmp_path, train_scenes=2, test_scenes=2, processes=1))
    assert (summary["made"], summary["kept"]) == (0, 4)
    names = sorted(path.name for path in mine.parent.iterdir())
    assert names == ["mine.mp4"] + [f"{s}-0000{i}.mp4" for s in ("test", "train") for i in (0, 1)]


def test_other_sizes_and_frame_counts(tmp_path: Path) -> None:
    simulate(config(tmp_path, train_scenes=1, test_scenes=0, size="96x80", frames=5, processes=1))
    with av.open(str(tmp_path / "videos/rooms/train-00000.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [(frame.width, frame.height) for frame in frames] == [(96, 80)] * 5


def test_presets() -> None:
    demo = SimulateConfig(output=Path("out"))
    assert (demo.scene_count("train"), demo.scene_count("test")) == (1500, 200)
    assert demo.width_height == (64, 48)
    study = SimulateConfig(output=Path("out"), preset="study")
    assert (study.scene_count("train"), study.scene_count("test")) == (6000, 800)
    assert study.width_height == (64, 64)


@pytest.mark.parametrize("size", ["65x48", "64", "64x", "8x8", "axb", "64x4096"])
def test_a_bad_size_is_refused_by_name(size: str) -> None:
    with pytest.raises(UserError, match="size") as caught:
        validate(SimulateConfig, {"output": "out", "size": size}, source="command line")
    assert size in str(caught.value)


def test_bad_outputs_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(UserError, match="give a directory"):
        simulate(config(file))
    with pytest.raises(UserError, match="ask for some"):
        simulate(config(tmp_path / "new", train_scenes=0, test_scenes=0))


def test_importing_the_config_loads_nothing_heavy() -> None:
    code = (
        "import sys; from geovr.simulation.simulate import SimulateConfig; "
        "heavy = ('numpy', 'av', 'trimesh', 'embreex', 'safetensors'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.fault(22)
def test_killed_halfway_it_leaves_whole_scenes_and_goes_on(
    rendered: Rendered, tmp_path: Path
) -> None:
    code = (
        "from pathlib import Path\n"
        "from geovr.simulation.simulate import SimulateConfig, simulate\n"
        "if __name__ == '__main__':\n"
        f"    simulate(SimulateConfig(output=Path({str(tmp_path)!r}), seed=7, processes=2,"
        " train_scenes=100, test_scenes=0))\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    run = subprocess.Popen(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    truths = tmp_path / "ground_truth"
    deadline = time.monotonic() + 60
    while len(list(truths.glob("train-*"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = _children(run.pid)
    run.send_signal(signal.SIGKILL)
    run.wait()
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "workers outlived their parent"
        time.sleep(0.05)
    written = sorted(truths.glob("train-*"))
    assert 4 <= len(written) < 100
    assert all(read_record(path) is not None for path in written)
    assert not (tmp_path / "train_questions.jsonl").exists()

    (tmp_path / "videos/rooms/.train-00000.mp4.999999999.abcd1234.tmp").write_bytes(b"left")
    summary = simulate(config(tmp_path, train_scenes=20, test_scenes=0, processes=1))
    assert summary["kept"] >= 1 and summary["kept"] + summary["made"] == 20
    assert not list(tmp_path.rglob("*.tmp"))
    for path in sorted((tmp_path / "videos/rooms").iterdir()):
        assert path.read_bytes() == (rendered.root / "videos/rooms" / path.name).read_bytes()
