"""Answers, steps and parameters of the pipeline that are wrong (faults 44 and 46 to 48)."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.check_clips import check_clips
from components.ingest import ingest
from geovr.artifacts import ClipSet
from geovr.config import apply_overrides, read_params, stage_values
from geovr.errors import GateRefused, UserError
from geovr.evaluation.complete import check_complete
from geovr.evaluation.predictions import Predictions
from geovr.stages.ingest import IngestConfig
from tests.media import write_video
from tests.workspace import Workspace

FOUR = [0.5 * n for n in range(4)]


@pytest.mark.fault(44)
@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (["a", "b", "b"], "3 answers to 2 questions; 0 missing; 1 twice: b; 0 extra"),
        (["a", "a"], "2 answers to 2 questions; 1 missing: b; 1 twice: a; 0 extra"),
        (["a"], "1 answers to 2 questions; 1 missing: b; 0 twice; 0 extra"),
        (["a", "c"], "1 missing: b; 0 twice; 1 extra: c"),
        (["b", "a"], "another order"),
    ],
)
def test_every_question_has_one_answer(answers: list[str], told: str) -> None:
    def check(ids: list[str], header: dict[str, Any]) -> None:
        found = Predictions(header, [{"id": name} for name in ids])
        check_complete(found, ["a", "b"], {"questions": 2, "protocol": "flow"}, "p.jsonl")

    header = {"questions": 2, "protocol": "flow"}
    with pytest.raises(GateRefused, match=f"^p.jsonl: .*{told}.*run evaluate again$"):
        check(answers, header)
    check(["a", "b"], header)
    with pytest.raises(GateRefused, match=r"header is not .*: protocol, seed differ"):
        check(["a", "b"], {"questions": 2, "protocol": "x", "seed": 1})


def component(function: Any, output: Path, **arguments: Any) -> dict[str, Any]:
    """What Kubeflow's launcher does with a component: call it, and keep the metadata."""
    made = SimpleNamespace(path=str(output), metadata={})
    name = "clips" if function is ingest else "clips_report"
    digest = function.python_func(**arguments, **{name: made})
    assert digest == made.metadata["digest"]
    return {k: v for k, v in made.metadata.items() if k != "seconds"}


@pytest.mark.fault(46)
def test_a_step_that_kubeflow_tries_again_does_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blank_database: Path
) -> None:
    """With its output still there, and in another place, as a new pod has it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "geovr-home").mkdir()
    shutil.copy(blank_database, tmp_path / "geovr-home/mlflow.db")
    write_video(tmp_path / "videos/a.mp4", FOUR)
    write_video(tmp_path / "videos/b.mp4", FOUR[:3])
    config = {"store": str(tmp_path / "store"), "videos": str(tmp_path / "videos"), "workers": 1}
    arguments = {"config_json": json.dumps(config)}
    first = component(ingest, tmp_path / "one", **arguments)
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "store/clips").rglob("*.safetensors")}
    for place in ("one", "two"):
        assert component(ingest, tmp_path / place, **arguments) == first
        assert ClipSet.load(tmp_path / place).manifest.details["decoded"] == 0
    assert len(kept) == 2
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())

    gate = {
        "config_json": json.dumps({"store": config["store"]}), "suite_digest": "d",
        "clips": SimpleNamespace(path=str(tmp_path / "one")), "clips_digest": first["digest"],
    }  # fmt: skip
    told = component(check_clips, tmp_path / "report", **gate)
    assert component(check_clips, tmp_path / "report", **gate) == told
    with pytest.raises(UserError, match=r"its content digest is .*, the run was told"):
        component(check_clips, tmp_path / "report", **gate | {"clips_digest": "another"})


@pytest.mark.fault(47)
def test_an_object_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    from geovr.stages.ingest import ingest as stage

    write_video(tmp_path / "videos/a.mp4", FOUR)
    write_video(tmp_path / "videos/b.mp4", FOUR[:3])
    config = IngestConfig(store=str(tmp_path / "store"), videos=str(tmp_path / "videos"), workers=1)
    first = stage(config, output=tmp_path / "clips")
    gone = tmp_path / "store" / first.index["object_key"].iloc[0]
    whole = gone.read_bytes()
    gone.unlink()
    again = stage(config, output=tmp_path / "clips")
    assert again.manifest.details["decoded"] == 1 and again.digest == first.digest
    assert gone.read_bytes() == whole


BOMBS = {
    "a billion laughs": "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdefghi", "bcdefghij", strict=True)
    ),
    "itself": "ingest: &i {videos: *i}\n",
    "itself in a list": "ingest: {videos: &v [*v]}\n",
    "deep": "ingest: " + "[" * 5000 + "]" * 5000,
    "too long": "ingest: {videos: " + "x" * (1 << 20) + "}\n",
    "a date": "ingest: {videos: 2026-01-01}\n",
    "bytes": "ingest: {videos: !!binary aGVsbG8=}\n",
    "an object": "ingest: {videos: !!python/object/apply:os.system ['touch sentinel']}\n",
    "infinity": "ingest: {workers: .inf}\n",
    "a key of a list": "ingest: {? [a] : 1}\n",
    "a list": "- ingest\n",
    "a key of a number": "1: {}\n",
    "a section of a text": "ingest: yes please\n",
    "a half": "ingest: {videos: 'a\n",
    "no text": "\x00\x01\n",
}


@pytest.mark.fault(48)
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", BOMBS)
def test_tricks_in_a_params_file_are_the_users_mistake(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "params.yaml"
    path.write_text(BOMBS[name])
    began = time.process_time()
    with pytest.raises(UserError) as told:
        stage_values(apply_overrides(read_params(path), []), "ingest")
    # written out, the largest would be 10^10 values
    assert time.process_time() - began < 30
    assert len(str(told.value)) < 5000
    assert not (tmp_path / "sentinel").exists()


@pytest.mark.fault(48)
def test_what_is_no_text_file_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(b"\xff\xfe\x00")
    for path, told in ((tmp_path / "params.yaml", "not a UTF-8 text"), (tmp_path, "can't be read")):
        with pytest.raises(UserError, match=told):
            read_params(path)


@pytest.mark.fault(48)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=st.text(max_size=60),
    overrides=st.lists(st.text(max_size=20).map(lambda text: f"ingest.a={text}"), max_size=2),
)
def test_any_text_is_a_mapping_or_a_mistake(
    text: str, overrides: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        values = stage_values(apply_overrides(read_params(path), overrides), "ingest")
    except UserError:
        return
    json.dumps(values, allow_nan=False)


@pytest.mark.fault(48)
def test_overrides_of_what_has_no_keys_are_the_users_mistake() -> None:
    with pytest.raises(UserError, match="store is a value, so has no keys"):
        apply_overrides({"store": "x"}, ["store.a.b=1"])
    assert apply_overrides({"train": None}, ["train.steps=3"]) == {"train": {"steps": 3}}


COMMANDS = (
    "$(touch sentinel)", "`touch sentinel`", "; touch sentinel", "| touch sentinel",
    "&& touch sentinel", "a\ntouch sentinel\n", "'; touch sentinel; '", '"; touch sentinel; "',
    "${IFS}touch${IFS}sentinel",
)  # fmt: skip


@pytest.mark.fault(48)
def test_no_shell_reads_a_parameter(workspace: Workspace) -> None:
    """As a path that is not there, and as one that is, and through a section of params.yaml."""
    for command in COMMANDS:
        out = workspace.inline("ingest", "--videos", command, code=2)
        assert "no such folder" in out
        workspace.params({"ingest": {"videos": command, "workers": 1}})
        folder = workspace.root / command
        write_video(folder / "a.mp4", FOUR)
        workspace.inline("ingest")
        assert workspace.manifest("clips")["config"]["videos"] == command
    assert not list(workspace.root.rglob("sentinel"))
