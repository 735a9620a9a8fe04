"""Clips sampled as a protocol of a benchmark says, frame by frame, and questions of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from geovr.artifacts import ClipSet
from geovr.config import validate
from geovr.data.clips import read_clip
from geovr.data.sampling import SamplerConfig
from geovr.errors import UserError
from geovr.evaluation.coverage import questions_of
from geovr.evaluation.protocols import PROTOCOLS
from geovr.planning.plan import frames_of
from geovr.stages.check_clips import CheckClipsConfig, check_clips
from geovr.stages.ingest import IngestConfig, ingest, sampler_key
from tests import published
from tests.media import write_video

TENTHS = [0.1 * n for n in range(70)]
BENCHMARK = {"name": "vsi-bench", "path": "x"}


def sampled(root: Path, times: list[float], **sampler: Any) -> tuple[ClipSet, list[int]]:
    """A video of these times as a clip, and the places of its frames."""
    write_video(root / "videos/a.mp4", times)
    config = IngestConfig.model_validate(
        {"store": str(root / "store"), "videos": str(root / "videos"), "workers": 1,
         "sampler": sampler}
    )  # fmt: skip
    clips = ingest(config, output=root / "clips")
    assert len(clips.quarantine) == 0
    return clips, [int(place) for place in clips.index["frame_indices"][0]]


def test_frames_of_a_short_video_come_as_often_as_upstream_shows_them(tmp_path: Path) -> None:
    clips, places = sampled(tmp_path, TENTHS[:3], kind="linspace_round", num_frames=5)
    assert places == [0, 0, 1, 2, 2]
    (row,) = clips.index.itertuples(index=False)
    assert [round(float(t), 3) for t in row.timestamps] == [0.0, 0.0, 0.1, 0.2, 0.2]
    shown = read_clip(clips.store, row).frames_THWC
    assert (shown[0] == shown[1]).all() and (shown[3] == shown[4]).all()
    assert (shown[1] != shown[2]).any()
    # a gate that took equal times for a fault would refuse these
    config = CheckClipsConfig(store=str(tmp_path / "store"))
    report = check_clips(config, clips=clips, output=tmp_path / "report")
    assert report.manifest.details["passed"] is True


@pytest.mark.parametrize(
    ("sampler", "wanted"),
    [
        ({"kind": "interval", "num_frames": 30}, list(range(0, 60, 2))),
        ({"kind": "inner_steps", "num_frames": 4}, [14, 28, 42, 56]),
        ({"kind": "chunk_center", "num_frames": 2}, [17, 52]),
        ({"kind": "fps_tail", "fps": 1.0}, [0, 10, 20, 30, 40, 50, 60, 69]),
    ],
)
def test_published_samplers_at_ingest(
    tmp_path: Path, sampler: dict[str, Any], wanted: list[int]
) -> None:
    assert sampled(tmp_path, TENTHS, **sampler)[1] == wanted


def test_a_video_too_short_for_a_rate_is_put_aside(tmp_path: Path) -> None:
    write_video(tmp_path / "videos/a.mp4", TENTHS[:3])
    config = IngestConfig.model_validate(
        {"store": str(tmp_path / "store"), "videos": str(tmp_path / "videos"), "workers": 1,
         "sampler": {"kind": "fps_floor", "fps": 1.0}}
    )  # fmt: skip
    (fault,) = ingest(config, output=tmp_path / "clips").quarantine.itertuples(index=False)
    assert fault.reason == "it is too short for fps_floor at 1 frames a second"


def test_keys_of_clips_that_lie_in_stores_stay() -> None:
    """Written out: whoever changes them decodes every video anew."""
    assert sampler_key(IngestConfig(videos="x")) == "7e59aae8de87b896"
    uniform = SamplerConfig(kind="uniform", num_frames=8)
    assert sampler_key(IngestConfig(videos="x", sampler=uniform)) == "43c7a41cf9bfb93e"
    # of a published sampler only what it reads is in the key
    floor = SamplerConfig(kind="linspace_floor", num_frames=8)
    same = floor.model_copy(update={"fps": 9.0, "min_frames": 1})
    keys = {sampler_key(IngestConfig(videos="x", sampler=s)) for s in (floor, same)}
    assert len(keys) == 1


def test_a_protocol_stands_above_the_sampler_and_says_so(tmp_path: Path) -> None:
    values = {"benchmark": BENCHMARK, "protocol": "vsi-bench/geovr-paper"}
    config = validate(IngestConfig, {**values, "sampler": {"kind": "fps"}}, source="p")
    assert config.sampler.identity() == {"kind": "linspace_round", "num_frames": 128}
    assert validate(IngestConfig, config.model_dump(mode="json"), source="p") == config
    for protocol in PROTOCOLS.values():
        of = {"name": protocol.benchmark, "path": "x"}
        one = validate(IngestConfig, {"benchmark": of, "protocol": protocol.name}, source="p")
        wanted = protocol.sampling or SamplerConfig()
        assert one.sampler == wanted
    for wrong, told in (
        ({"videos": "x", "protocol": "vsi-bench/official"}, "give that too"),
        ({**values, "protocol": "sti-bench/official"}, "its own are vsi-bench/official"),
        ({**values, "protocol": "vsi/official"}, "no such protocol; known are"),
        ({**values, "protocol": 7}, "protocol: Input should be a valid string"),
    ):
        with pytest.raises(UserError, match=told):
            validate(IngestConfig, wrong, source="p")


def test_what_a_complete_evaluation_would_answer(tmp_path: Path) -> None:
    published.vsi(tmp_path / "published")
    (tmp_path / "published/arkitscenes/41069025.mp4").unlink()

    def run(name: str) -> ClipSet:
        source = {"name": name, "path": str(tmp_path / "published")}
        config = IngestConfig.model_validate(
            {"store": str(tmp_path / "store"), "workers": 1, "benchmark": source}
        )
        return ingest(config, output=tmp_path / name)

    assert questions_of(run("vsi-bench"), "test") == 5130
    # of one whose number nobody published: what its table holds, missing videos or not
    pruned = run("vsi-bench-debiased")
    assert len(pruned.questions) == 2 and questions_of(pruned, "test") == 2


def test_own_questions_that_were_put_aside_count_in_their_split(tmp_path: Path) -> None:
    write_video(tmp_path / "videos/scannet/scene0011_00.mp4", TENTHS[:4])
    rows = published.vsi_rows()
    for split, number in (("train", 3), ("test", 2)):
        published.jsonl(tmp_path / f"{split}.jsonl", rows[:number])
    config = IngestConfig.model_validate(
        {"store": str(tmp_path / "store"), "workers": 1, "videos": str(tmp_path / "videos"),
         "questions": [{"path": str(tmp_path / f"{s}.jsonl"), "split": s}
                       for s in ("test", "train")]}
    )  # fmt: skip
    clips = ingest(config, output=tmp_path / "clips")
    # the question about the missing video is in both files; id 0 is there twice, and test has it
    assert sorted(clips.questions["id"]) == ["0", "2"]
    assert (clips.questions["split"] == "test").sum() == 1
    assert questions_of(clips, "test") == 2 and questions_of(clips, "train") == 3


def test_a_plan_knows_how_many_frames_a_published_sampler_takes() -> None:
    assert frames_of(SamplerConfig(kind="interval", num_frames=30), 60.0) == 30
    assert frames_of(SamplerConfig(kind="fps_tail", fps=0.5), 60.0) == 30
    assert frames_of(SamplerConfig(), 60.0) == 32
