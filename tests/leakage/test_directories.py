"""Benchmarks and training sets as published: their scenes, and the bytes of what is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from geovr.cli import app, outcome
from geovr.errors import UserError
from geovr.evaluation.benchmarks.lock import read_lock, write_lock
from geovr.evaluation.benchmarks.table import BENCHMARKS
from geovr.evaluation.benchmarks.verify import record
from geovr.leakage.holdings import open_side
from geovr.leakage.likeness import LikenessConfig
from geovr.leakage.overlap import compare
from geovr.storage import sha256_file
from tests import published

TURNS = [{"from": "human", "value": "How many?"}, {"from": "gpt", "value": "2"}]


def vsi_590k(root: Path, *videos: str, **more: Any) -> Path:
    rows = [{"id": n, "conversations": TURNS, "video": name} for n, name in enumerate(videos)]
    published.jsonl(root / "vsi_590k.jsonl", [*rows, {"conversations": TURNS} | more])
    return root


def vlm_3r(root: Path, *scenes: tuple[str, str]) -> Path:
    root.mkdir()
    rows = [{"id": n, "conversations": TURNS, "data_source": source, "scene_name": scene}
            for n, (source, scene) in enumerate(scenes)]  # fmt: skip
    (root / "vlm3r_vsi_205k.json").write_text(json.dumps(rows))
    return root


def scenes(train: Path, train_name: str, benchmark: Path) -> dict[str, tuple[str, ...]]:
    sides = open_side(str(train), "train", train_name), open_side(str(benchmark), "test")
    return {one.what: one.train for one in compare(*sides, LikenessConfig()).scenes}


@pytest.fixture
def vsi(tmp_path: Path) -> Path:
    """VSI-Bench, fetched."""
    directory = published.vsi(tmp_path / "vsi")
    write_lock(directory, record(BENCHMARKS["vsi-bench"], directory, None))
    return directory


def test_scenes_of_training_sets_against_a_benchmark(tmp_path: Path, vsi: Path) -> None:
    train = vsi_590k(
        tmp_path / "590k", "scannet/scene0011_01.mp4", "scannet/scene0012_00.mp4",
        "arkitscenes/41069021.mp4", image="arkitscenes/41069025/1.jpg",
    )  # fmt: skip
    assert scenes(train, "vsi-590k", vsi) == {
        "scannet/scene0011": ("scannet/scene0011_01.mp4",),
        "arkitscenes/41069025": ("arkitscenes/41069025/1.jpg",),
    }
    other = vlm_3r(tmp_path / "3r", ("scannet", "scene0700_00"), ("arkitscenes", "41069021"))
    assert scenes(other, "vlm-3r", vsi) == {}


def test_the_renamed_folder_of_scannetpp_hides_no_scene(tmp_path: Path) -> None:
    rows = published.vsi_rows()
    rows[0] |= {"dataset": "scannetpp", "scene_name": "7b6477cb95"}
    directory = tmp_path / "vsi"
    published.jsonl(directory / "test.jsonl", rows)
    train = vlm_3r(tmp_path / "3r", ("scannetpp", "7b6477cb95"), ("scannetpp", "0a7cc12c0e"))
    sides = (open_side(str(train), "train", "vlm-3r"),
             open_side(str(directory), "test", "vsi-bench"))  # fmt: skip
    found = compare(*sides, LikenessConfig())
    assert [one.what for one in found.scenes] == ["scannetpp/7b6477cb95"]
    assert found.scenes[0].train == ("scannetppv2/7b6477cb95.mp4",)
    assert found.compared["contents"] == (0, 0)
    assert any("only their scenes could be compared" in note for note in found.notes)


def test_digests_are_those_on_record_or_those_of_the_files(vsi: Path) -> None:
    recorded = {held.name: held.sha256 for held in open_side(str(vsi), "test").clips}
    assert recorded == {name: sha256_file(vsi / name) for name in recorded}
    lock = read_lock(vsi)
    assert lock is not None
    (vsi / "geovr-benchmark.json").unlink()
    hashed = open_side(str(vsi), "test", "vsi-bench")
    assert {held.name: held.sha256 for held in hashed.clips} == recorded


def test_records_that_are_no_questions_are_counted(tmp_path: Path) -> None:
    train = vsi_590k(tmp_path / "590k", "scannet/scene0012_00.mp4", video=None)
    held = open_side(str(train), "train", "vsi-590k")
    assert [one.name for one in held.clips] == ["scannet/scene0012_00.mp4"]
    assert any("1 records are no questions" in note for note in held.notes)
    with pytest.raises(UserError, match="give its name, one of vsi-bench"):
        open_side(str(train), "train")


def test_the_command_answers_in_one_object(
    tmp_path: Path, vsi: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = vsi_590k(tmp_path / "590k", "scannet/scene0011_00.mp4", video=None)
    arguments = ["leakage", str(train), str(vsi), "--train-name", "vsi-590k", "--json"]
    with pytest.raises(SystemExit) as end:
        outcome(lambda: app(arguments))
    assert end.value.code == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["exit_code"], told["leakage"]) == ("refused", 3, "1 scene")
    assert told["scenes"][0]["what"] == "scannet/scene0011"
