"""Extraction of many clips: shared by cost, incremental, killed, and done by two jobs at once."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geovr.artifacts import ClipSet, TargetSet
from geovr.data.clips import Clip
from geovr.data.target_format import TargetFormat
from geovr.data.targets import GeometryTargets, read_targets
from geovr.distributed import balanced_shares
from geovr.progress import Progress
from geovr.simulation.simulate import SimulateConfig, simulate
from geovr.stages.extract_targets import ExtractTargetsConfig, extract_targets
from geovr.stages.ingest import IngestConfig, ingest
from geovr.storage import Store, StoreError
from geovr.teachers.base import TeacherError
from geovr.teachers.config import OracleConfig
from geovr.teachers.extraction import Extraction, Made
from geovr.teachers.oracle import Oracle
from tests.workspace import Workspace

CLIPS = 100


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 tiny rooms, and one of another seed that can take the place of the first."""
    root = tmp_path_factory.mktemp("rooms")
    for name, scenes in (("data", CLIPS), ("other", 1)):
        simulate(
            SimulateConfig(
                output=root / name, train_scenes=scenes, test_scenes=0, size="32x24",
                frames=4, processes=1, seed=CLIPS - scenes,
            )
        )  # fmt: skip
    ingest_rooms(root / "data", root / "store", root / "clips")
    return root


def ingest_rooms(data: Path, store: Path, output: Path) -> ClipSet:
    questions = [{"path": str(data / "train_questions.jsonl"), "split": "train"}]
    config = IngestConfig(
        store=str(store), videos=str(data / "videos"), questions=questions, workers=1
    )
    return ingest(config, output=output)


@pytest.fixture
def work(rooms: Path, tmp_path: Path) -> Workspace:
    """A copy of the rooms in which the command line works too."""
    shutil.copytree(rooms, tmp_path / "work")
    workspace = Workspace(tmp_path / "work")
    oracle = {"ground_truth": "data/ground_truth"}
    params = {"store": "store", "extract_targets": {"oracle": oracle}}
    (workspace.root / "params.yaml").write_text(json.dumps(params))
    return workspace


def extract(root: Path, **changes: Any) -> TargetSet:
    config = ExtractTargetsConfig.model_validate(
        {"store": str(root / "store"), "oracle": {"ground_truth": str(root / "data/ground_truth")}}
        | changes
    )
    return extract_targets(config, clips=ClipSet.load(root / "clips"), output=root / "targets")


def calls(targets: TargetSet) -> tuple[int, int]:
    details = targets.manifest.details
    return details["teacher_calls"], details["reused"]


def objects(root: Path) -> list[Path]:
    return sorted((root / "store/targets").rglob("*.safetensors"))


@pytest.mark.fault(17, 46)
def test_a_rerun_makes_no_call_and_one_changed_clip_of_a_hundred_makes_one(work: Workspace) -> None:
    root = work.root
    first = extract(root)
    before = first.index.set_index("clip_id")
    assert calls(first) == (CLIPS, 0)
    again = extract(root)
    assert calls(again) == (0, CLIPS) and again.digest == first.digest
    shutil.rmtree(root / "targets")
    assert calls(extract(root)) == (0, CLIPS)
    name = "train-00000"
    (video,) = (root / "data/videos").rglob(f"{name}.mp4")
    (other,) = (root / "other/videos").rglob(f"{name}.mp4")
    shutil.copy(other, video)
    truth = f"ground_truth/{name}.safetensors"
    shutil.copy(root / "other" / truth, root / "data" / truth)
    ingest_rooms(root / "data", root / "store", root / "clips")
    changed = extract(root)
    assert calls(changed) == (1, CLIPS - 1)
    after = changed.index.set_index("clip_id")
    differs = before["object_key"] != after["object_key"]
    assert list(before.index[differs]) == [f"rooms/{name}"]
    assert len(objects(root)) == CLIPS + 1


@pytest.mark.fault(26)
def test_two_jobs_on_one_store_agree(work: Workspace) -> None:
    command = ("geovr", "extract_targets", "--clips", "clips", "--output")
    jobs = [work.start(*command, name) for name in ("one", "two")]
    for job in jobs:
        told, _ = job.communicate(timeout=300)
        assert job.returncode == 0, told
    one, two = (TargetSet.load(work.root / name) for name in ("one", "two"))
    assert one.digest == two.digest and one.index.equals(two.index)
    assert len(objects(work.root)) == CLIPS
    assert calls(one)[0] + calls(two)[0] >= CLIPS
    for row in one.index.itertuples(index=False):
        read_targets(one.store, row)
    alone = extract(work.root, store=str(work.root / "elsewhere"))
    assert alone.index.equals(one.index)


@pytest.mark.fault(22)
def test_killed_in_the_middle_it_goes_on_without_repeating_work(work: Workspace) -> None:
    command = ("geovr", "extract_targets", "--clips", "clips", "--output", "targets")
    process = work.start(*command)
    deadline = time.monotonic() + 200
    while len(objects(work.root)) < CLIPS // 10:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = len(objects(work.root))
    assert CLIPS // 10 <= kept < CLIPS, "killed too late to show anything"
    assert not (work.root / "targets/manifest.json").exists()
    work.geovr(*command[1:])
    resumed = TargetSet.load(work.root / "targets")
    assert calls(resumed) == (CLIPS - kept, kept)
    whole = extract(work.root, store=str(work.root / "elsewhere"))
    assert whole.index.equals(resumed.index)


@pytest.mark.fault(24)
def test_damage_is_found_by_digest_and_left_to_the_gate_by_size(work: Workspace) -> None:
    first = extract(work.root)
    row = list(first.index.itertuples(index=False))[7]
    path = work.root / "store" / row.object_key
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    assert calls(extract(work.root, reuse_check="size")) == (0, CLIPS)
    with pytest.raises(StoreError, match="damaged"):
        read_targets(Store.open(first.manifest.store), row)
    assert calls(extract(work.root)) == (1, CLIPS - 1)
    assert path.read_bytes() == sound
    path.write_bytes(sound[:-1])
    assert calls(extract(work.root, reuse_check="size")) == (1, CLIPS - 1)
    assert path.read_bytes() == sound


@pytest.mark.fault(29)
def test_another_format_makes_other_objects(work: Workspace) -> None:
    plain = extract(work.root)
    logs = extract(work.root, format={"depth": "log_u16"})
    assert calls(logs) == (CLIPS, 0) and len(objects(work.root)) == 2 * CLIPS
    assert calls(extract(work.root)) == (0, CLIPS)
    rows = zip(plain.index.itertuples(index=False), logs.index.itertuples(index=False), strict=True)
    for one, other in itertools.islice(rows, 5):
        both = [read_targets(plain.store, row) for row in (one, other)]
        np.testing.assert_allclose(both[0].depth_THW, both[1].depth_THW, rtol=6e-4)
        np.testing.assert_array_equal(both[0].features_NTHWC, both[1].features_NTHWC)


class Watched(Oracle):
    """The oracle, told how it is called, and failing where it is told to."""

    def __init__(self, root: Path, clips_per_call: int = 1, bad: str = "") -> None:
        super().__init__(OracleConfig(ground_truth=str(root / "data/ground_truth")))
        self.clips_per_call, self.bad = clips_per_call, bad
        self.calls: list[list[str]] = []

    def __call__(self, clips: list[Clip]) -> list[GeometryTargets]:
        self.calls.append([clip.clip_id for clip in clips])
        assert len({clip.frames_THWC.shape for clip in clips}) == 1
        if any(clip.clip_id == self.bad for clip in clips):
            raise RuntimeError("out of memory")
        return super().__call__(clips)


def run(root: Path, teacher: Watched, rows: list[Any] | None = None) -> tuple[list[Made], Progress]:
    """All that the stage does with a teacher, in one process."""
    clips = ClipSet.load(root / "clips")
    rows = rows or list(clips.index.itertuples(index=False))
    store = Store.open(str(root / "store"))
    job = Extraction(teacher, TargetFormat(), clips.store, store, {}, "digest")
    found = job.find(rows, Progress("find", len(rows), "clips"))
    missing = [(row, there) for row, there in zip(rows, found, strict=True)
               if there.index_row is None]  # fmt: skip
    bar = Progress("make", len(missing), "clips")
    return job.make([row for row, _ in missing], [there for _, there in missing], bar), bar


def test_clips_of_one_shape_are_asked_about_together(work: Workspace) -> None:
    teacher = Watched(work.root, clips_per_call=8)
    made, bar = run(work.root, teacher)
    assert [len(names) for names in teacher.calls] == [8] * 12 + [4]
    assert bar.done == bar.total == len(made) == CLIPS
    assert bar.line().startswith("make: 100/100 clips, ") and bar.line().endswith(" 0 s left")
    assert {one.index_row["clip_id"] for one in made} == set(itertools.chain(*teacher.calls))
    one_by_one = extract(work.root, store=str(work.root / "elsewhere"))
    ours = {one.index_row["clip_id"]: one.index_row["object_sha256"] for one in made}
    assert ours == dict(zip(one_by_one.index.clip_id, one_by_one.index.object_sha256, strict=True))


def test_clips_of_different_shapes_are_not(work: Workspace) -> None:
    """Rows tell the shapes; a wrong one shows that they decide."""
    clips = ClipSet.load(work.root / "clips").index.head(6).copy()
    clips.loc[clips.index[::2], "height"] = 48
    teacher = Watched(work.root, clips_per_call=8)
    run(work.root, teacher, list(clips.itertuples(index=False)))
    assert sorted(len(names) for names in teacher.calls) == [3, 3]


def test_a_clip_that_fails_is_named_and_the_others_are_kept(
    work: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    bad = "rooms/train-00021"
    teacher = Watched(work.root, clips_per_call=8, bad=bad)
    with pytest.raises(TeacherError, match=f"{bad}: teacher oracle failed: RuntimeError: out of"):
        run(work.root, teacher)
    assert "asking one by one" in caplog.text
    kept = len(objects(work.root))
    assert kept == 16, "two batches of eight before the one that failed"
    teacher = Watched(work.root)
    run(work.root, teacher)
    asked = Counter(itertools.chain(*teacher.calls))
    assert len(asked) == CLIPS - kept and asked[bad] == 1


def test_a_teacher_is_not_called_when_all_is_there(work: Workspace) -> None:
    extract(work.root)
    teacher = Watched(work.root)
    made, _ = run(work.root, teacher)
    assert (made, teacher.calls) == ([], [])


@given(st.lists(st.floats(0, 100), max_size=60), st.integers(1, 9))
def test_shares_are_a_partition(costs: list[float], ranks: int) -> None:
    shares = balanced_shares(costs, ranks)
    assert len(shares) == ranks
    assert sorted(itertools.chain(*shares)) == list(range(len(costs)))
    assert all(share == sorted(share) for share in shares)
    assert shares == balanced_shares(costs, ranks)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.integers(2, 3))
def test_no_rank_has_more_than_four_thirds_of_the_best_division(
    costs: list[int], ranks: int
) -> None:
    def busiest(owners: tuple[int, ...]) -> int:
        return max(sum(c for c, o in zip(costs, owners, strict=True) if o == r)
                   for r in range(ranks))  # fmt: skip

    best = min(busiest(owners) for owners in itertools.product(range(ranks), repeat=len(costs)))
    shares = balanced_shares(costs, ranks)
    assert max(sum(costs[p] for p in share) for share in shares) <= 4 / 3 * best + 1e-9


def test_long_and_short_clips_are_shared_evenly() -> None:
    """By turns, one of two ranks would get all the long ones."""
    costs = [32, 4] * 50
    loads = [sum(costs[p] for p in share) for share in balanced_shares(costs, 2)]
    assert loads == [900, 900] and sum(costs[::2]) == 1600
