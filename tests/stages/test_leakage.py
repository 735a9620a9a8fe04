"""Planted leaks through ingest, the gate, the command and registration."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from geovr import promotion, tracking
from geovr.artifacts import Checkpoint, ClipSet, EvalReport
from geovr.cli import app, outcome
from geovr.errors import GateRefused
from geovr.leakage import registration
from geovr.model_registry import CHAMPION, ModelRegistry
from geovr.stages.check_clips import CheckClipsConfig, check_clips
from geovr.stages.register import RegisterConfig, register
from geovr.storage import Store
from tests.bench.leakage import changed
from tests.leakage.clipsets import clip_set, of_an_earlier_version, rooms

fault = pytest.mark.fault
COPIES = {
    "smaller": "half the size", "squeezed": "crf 45", "slower": "3/4 of the frames",
    "part": "from 37 % to 80 %", "turned": "mirrored",
}  # fmt: skip


class Sets:
    """A training set, a benchmark that shares scenes, files and looks with it, and a clean one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        made = rooms(root / "made")
        train, bench, clean = (root / name / "videos" for name in ("train", "bench", "clean"))
        for folder in (train / "scannet", bench / "scannet", bench / "web", clean / "web"):
            folder.mkdir(parents=True)
        for n, path in enumerate(made[:6]):
            shutil.copy(path, train / "scannet" / f"scene000{n}_00.mp4")
        shutil.copy(made[0], bench / "web/renamed.mp4")
        # other pictures under the name of another scan of a scene that is trained on
        shutil.copy(made[6], bench / "scannet/scene0003_01.mp4")
        for number, (name, change) in enumerate(COPIES.items(), start=1):
            changed(made[number], bench / f"web/{name}.mp4", change)
        shutil.copy(made[7], clean / "web/other.mp4")
        self.train = self.ingested("train", "train")
        self.bench = self.ingested("bench", "test")
        self.clean = self.ingested("clean", "test")

    def ingested(self, name: str, split: str) -> ClipSet:
        videos = self.root / name / "videos"
        names = [path.relative_to(videos).as_posix() for path in sorted(videos.rglob("*.mp4"))]
        return clip_set(self.root / name, videos, {split: names})

    def gate(self, train: ClipSet, output: Path, *benchmarks: ClipSet, **likeness: Any) -> Any:
        sources = [{"name": one.directory.parent.name, "clips": str(one.directory)}
                   for one in benchmarks]  # fmt: skip
        config = CheckClipsConfig.model_validate(
            {"store": str(output / "store"), "benchmarks": sources, "likeness": likeness}
        )
        return check_clips(config, clips=train, output=output / "report")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    return Sets(tmp_path_factory.mktemp("sets"))


PAIRS = {
    f"bench: scannet/scene000{n}_00 = web/{name}" for n, name in enumerate(COPIES, start=1)
}  # fmt: skip


@fault(21)
@pytest.mark.parametrize("older", [False, True], ids=["", "sets of an earlier version"])
def test_the_gate_names_what_is_also_the_benchmarks(
    sets: Sets, tmp_path: Path, older: bool
) -> None:
    train, bench = sets.train, sets.bench
    if older:
        (tmp_path / "bench").mkdir()
        train = of_an_earlier_version(train, tmp_path / "train")
        bench = of_an_earlier_version(bench, tmp_path / "bench/clips")
        assert "fingerprint" not in train.index.columns
    with pytest.raises(GateRefused, match="Nothing of a benchmark is trained on"):
        sets.gate(train, tmp_path, sets.clean, bench)
    found = json.loads((tmp_path / "report/report.json").read_text())["findings"]
    (refused,) = (one for one in found if not one["success"])
    assert set(refused["rows"]) == PAIRS | {
        "bench: scannet/scene0003",
        "bench: scannet/scene0000_00 = web/renamed",
    }
    page = (tmp_path / "report/report.html").read_text()
    assert page.count("<figure>") == len(COPIES) and page.count("<img src=") >= 2 * len(COPIES)
    assert "mirrored" in page


def test_pairs_that_are_allowed_are_not_told(sets: Sets, tmp_path: Path) -> None:
    allow = [("scannet/scene0001_00", "web/smaller")]
    with pytest.raises(GateRefused) as error:
        sets.gate(sets.train, tmp_path, sets.bench, allow=allow)
    assert "web/smaller" not in str(error.value) and "web/renamed" in str(error.value)
    assert sets.gate(sets.train, tmp_path, sets.clean).manifest.details["passed"]


@fault(21)
def test_a_copy_of_a_training_clip_among_the_test_clips_is_refused(
    sets: Sets, tmp_path: Path
) -> None:
    videos = tmp_path / "mixed/videos"
    shutil.copytree(sets.root / "train/videos", videos)
    shutil.copy(sets.root / "bench/videos/web/part.mp4", videos / "part.mp4")
    shutil.copy(sets.root / "clean/videos/web/other.mp4", videos / "other.mp4")
    train = [f"scannet/scene000{n}_00.mp4" for n in range(6)]
    mixed = clip_set(tmp_path / "mixed", videos, {"train": train, "test": ["other.mp4"]})
    assert sets.gate(mixed, tmp_path).manifest.details["passed"]
    mixed = clip_set(
        tmp_path / "mixed", videos, {"train": train, "test": ["other.mp4", "part.mp4"]}
    )
    with pytest.raises(GateRefused, match=r"in another encoding .* scannet/scene0004_00 = part\."):
        sets.gate(mixed, tmp_path)


def test_fingerprints_are_no_part_of_what_a_set_says(sets: Sets, tmp_path: Path) -> None:
    """A digest that changed with them would make every stage behind ingest run again."""
    from geovr.data.clips import index_content

    rows = sets.clean.index.to_dict("records")
    rows = [{k: v.tolist() if hasattr(v, "tolist") else v for k, v in row.items()} for row in rows]
    questions = [
        {name: value for name, value in row.items() if name != "extra"}
        for row in sets.clean.questions.to_dict("records")
    ]
    content = {
        "clips": index_content(rows, ("video_uri", "fingerprint")),
        "questions": index_content(questions, ("source",)),
    }
    assert sets.clean.digest == ClipSet.digest_of(content)


def command(*arguments: str) -> int:
    def run() -> None:
        app(list(arguments), standalone_mode=False)

    return outcome(run)


def test_the_command(sets: Sets, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, bench = str(sets.train.directory), str(sets.bench.directory)
    assert command("leakage", train, bench) == 3
    told = capsys.readouterr()
    assert "scene scannet/scene0003: train: scannet/scene0003_00; test: scannet/scene0003_01" in (
        told.out
    )
    assert "same file: train: scannet/scene0000_00; test: web/renamed" in told.out
    assert "scannet/scene0005_00 looks like web/turned" in told.out and ", mirrored," in told.out
    assert "share 1 scene, 1 video, 5 look-alikes" in told.err
    assert command("leakage", train, str(sets.clean.directory)) == 0
    assert "compared by looks: 6 of 6 with 1 of 1" in capsys.readouterr().out
    assert command("leakage", train, str(tmp_path)) == 2
    assert "no ClipSet, and no geovr-benchmark.json" in capsys.readouterr().err


def trained(sets: Sets, test: ClipSet, root: Path, clips: str) -> tuple[Checkpoint, EvalReport]:
    """A checkpoint trained on some clips, and its report on others, as the stages leave them."""
    rows = [{"id": f"q{n}", "scene": f"s{n}", "kind": "turn", "answer": "10", "text": "10"}
            for n in range(4)]  # fmt: skip
    store = str(sets.root / "store")
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    sha256 = Store.open(store).put("evaluation/e/predictions.jsonl", text)
    with tracking.run("e", "n", key="k") as run:
        details = {"prefix": "training/k/export", "mlflow_run_id": run.run_id}
    common: dict[str, Any] = {"config": {}, "counts": {}, "store": store}
    for name in ("checkpoint", "evaluation"):
        (root / name).mkdir(parents=True)
    checkpoint = Checkpoint.commit(
        root / "checkpoint", inputs={"clips": clips}, content=str(root), details=details, **common
    )
    evaluated = {
        "headline": 1.0, "benchmark_digest": "b", "key": "e", "predictions_sha256": sha256,
    }  # fmt: skip
    inputs = {"checkpoint": checkpoint.digest, "clips": test.digest}
    report = EvalReport.commit(
        root / "evaluation", inputs=inputs, content=2, details=evaluated, **common
    )
    return checkpoint, report


def test_registration_refuses_to_promote_what_was_tested_on_its_training_clips(
    sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, evaluation = trained(sets, sets.bench, tmp_path, sets.train.digest)
    config = RegisterConfig(store=str(sets.root / "store"))
    made = register(config, checkpoint=checkpoint, evaluation=evaluation, output=tmp_path / "v")
    details = made.manifest.details
    shared = "1 scene, 1 video, 5 look-alikes"
    assert (details["decision"], details["leakage"]) == ("refused", shared)
    assert details["reason"] == f"what it was tested on was trained on: {shared}"
    assert ModelRegistry("geovr").version(1).tags[registration.TAG] == shared
    decision = json.loads((tmp_path / "v/decision.json").read_text())
    assert decision["leakage"] == shared and not decision["approved"]
    assert any("scannet/scene0001_00 looks like web/smaller" in one for one in decision["shared"])

    # nor does the command, but on purpose
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("register: {}")
    assert command("promote", "--version", "1") == 3
    assert ModelRegistry("geovr").by_alias(CHAMPION) is None
    allowed = ("promote", "--version", "1", "--set", "register.policy.allow_leakage=true")
    assert command(*allowed) == 0


@pytest.mark.parametrize("known", [True, False])
def test_registration_tells_clean_from_unknown(sets: Sets, tmp_path: Path, known: bool) -> None:
    digest = sets.train.digest if known else "0" * 64
    checkpoint, evaluation = trained(sets, sets.clean, tmp_path, digest)
    config = RegisterConfig(store=str(sets.root / "store"), model_name=f"known-{known}")
    made = register(config, checkpoint=checkpoint, evaluation=evaluation, output=tmp_path / "v")
    assert made.manifest.details["decision"] == "approved"
    tag = ModelRegistry(config.model_name).version(1).tags[registration.TAG]
    assert tag == "none" if known else tag.startswith("unknown: no record of the training clips")
    strict = promotion.PromotionPolicy(allow_unknown_leakage=False)
    why = registration.forbids(
        {registration.TAG: tag}, leaking=False, unknown=strict.allow_unknown_leakage
    )
    assert (why is None) == known
    assert registration.forbids({}, leaking=True, unknown=False) is not None
