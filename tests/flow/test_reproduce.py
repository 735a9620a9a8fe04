"""A recorded run once more: the same digests, or a plain word on what is not the same."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from geovr.artifacts import git_sha
from geovr.errors import UserError
from geovr.records import Surroundings
from geovr.stages import STAGES
from geovr.stages.run import stage_config
from pipelines import reproduction
from pipelines.recorded import Recorded, find_run
from tests.workspace import Workspace

REPRODUCE = ("python", "-m", "pipelines", "reproduce")


@pytest.fixture(scope="module")
def ran(flown: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A work directory after a run, to be written to; its records name the store they were in."""
    root = tmp_path_factory.mktemp("ran") / "work"
    shutil.copytree(flown.root, root, symlinks=True)
    return Workspace(root)


def store_of(workspace: Workspace) -> str:
    return str(workspace.root / ".geovr/store")


def found_in(workspace: Workspace, name: str = "checkpoint") -> Recorded:
    return find_run(str(workspace.root / "artifacts" / name), store_of(workspace))


def test_something_else_is_told_stage_by_stage(ran: Workspace, tmp_path: Path) -> None:
    directory, store = tmp_path / "again", tmp_path / "store"
    reproduction.prepare(found_in(ran), directory, str(store))
    ran.inline(
        "train", "--params", str(directory / "params.yaml"), "--output", str(tmp_path / "out"),
        "--set", "train.seed=7",
    )  # fmt: skip
    told = ran.run(
        *REPRODUCE, "artifacts/checkpoint", "--compare",
        "--into", str(store), "--directory", str(directory), code=3,
    )  # fmt: skip
    assert "train made something else" in told
    line = next(x for x in told.splitlines() if " train " in x and "different" in x)
    assert ran.manifest("checkpoint")["content_digest"][:32] in line
    assert "not run" in next(x for x in told.splitlines() if " evaluate " in x and "not run" in x)


def test_one_run_has_many_names(ran: Workspace) -> None:
    manifests = {n: ran.manifest(n) for n in ("checkpoint", "evaluation", "model_version")}
    run_id = manifests["checkpoint"]["details"]["mlflow_run_id"]
    names = [*(m["content_digest"] for m in manifests.values()), "models:/geovr/1", run_id]
    names += [str(ran.root / "artifacts" / name) for name in manifests]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEOVR_HOME", str(ran.root / ".geovr"))
        for name in names:
            found = find_run(name, store_of(ran))
            assert found.digest == manifests["checkpoint"]["content_digest"], name
            assert set(found.steps) == {stage.name for stage in STAGES}, name
            assert not found.notes
    with pytest.raises(UserError, match="no record of a ModelVersion"):
        find_run("0" * 64, store_of(ran))
    with pytest.raises(UserError, match="no such run"):
        find_run("nothing", store_of(ran))
    with pytest.raises(UserError, match="this is a ClipSet"):
        find_run(str(ran.root / "artifacts/clips"), store_of(ran))


def test_what_is_printed_says_what_the_run_was(ran: Workspace) -> None:
    told = ran.run(*REPRODUCE, "artifacts/model_version", "--directory", "shown")
    assert "data: not by DVC" in told
    assert ran.manifest("clips")["content_digest"] in told
    assert "not in an image" in told and "seeds: train 42, evaluate" in told
    assert (
        "GEOVR_HOME=shown MLFLOW_TRACKING_URI= OMP_NUM_THREADS=1 python -m pipelines run --local"
        " --params shown/params.yaml --root shown/kfp" in told
    )
    assert not (ran.root / "shown/store").exists() and not (ran.root / "shown/kfp").exists()


@pytest.mark.fault(28)
def test_a_missing_record_is_named(ran: Workspace, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(Path(store_of(ran)) / "records", store / "records")
    targets = ran.manifest("targets")["content_digest"]
    shutil.rmtree(store / "records/TargetSet" / targets)
    digest = ran.manifest("checkpoint")["content_digest"]
    _retold(store, str(store))
    with pytest.raises(UserError, match=f"extract_targets that made TargetSet {targets}"):
        find_run(digest, str(store))
    # the gates, the evaluation and the version are not what a checkpoint was made from
    shutil.copytree(
        Path(store_of(ran)) / "records/TargetSet" / targets, store / "records/TargetSet" / targets
    )
    for kind in ("GateReport", "EvalReport"):
        shutil.rmtree(store / "records" / kind)
    _retold(store, str(store))
    found = find_run(digest, str(store))
    assert [note for note in found.notes if "check_targets" in note]
    assert [note for note in found.notes if "evaluation" in note]
    again = reproduction.prepare(found, tmp_path / "again")
    rows = {row.stage: row.told for row in reproduction.compare(found, again.store)}
    assert rows["check_clips"] == "not run" and "check_clips" not in found.steps


def _retold(store: Path, uri: str, **changes: object) -> None:
    """Records that tell of another store, or other code."""
    for path in (store / "records").glob("*/*/*.json"):
        told = json.loads(path.read_text())
        told["manifest"] |= {"store": uri, **changes}
        path.write_text(json.dumps(told))


def test_other_code_is_not_run(ran: Workspace, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(Path(store_of(ran)) / "records", store / "records")
    _retold(store, str(store), git_sha="c0ffee" * 6 + "c0de")
    digest = ran.manifest("checkpoint")["content_digest"]
    directory = tmp_path / "again"
    told = ran.run(
        *REPRODUCE, digest, "--store", str(store), "--directory", str(directory), "--run", code=2
    )
    assert "nothing was run" in told and "git checkout c0ffee" in told
    assert "--allow-different-code" in told
    assert not (directory / "store").exists() and not (directory / "kfp").exists()
    found = found_in(ran)
    dirty = [fault for fault in reproduction.other_code(found, {}) if "not committed" in fault]
    assert bool(dirty) == git_sha().endswith("-dirty")


def test_a_run_in_an_image_is_run_in_it_again(ran: Workspace, tmp_path: Path) -> None:
    image = f"registry.example/geovr/cpu@sha256:{'1' * 64}"
    found = found_in(ran, "model_version")
    again = reproduction.prepare(_placed(found, image, cluster=False), tmp_path / "docker")
    assert again.command[:4] == ("run", "--docker", "--image", image) and again.waits
    assert not reproduction.other_code(_placed(found, image, cluster=False), again.images)

    there = _placed(found, image, cluster=True)
    with pytest.raises(UserError, match="--into s3://"):
        reproduction.prepare(there, tmp_path / "cluster")
    again = reproduction.prepare(there, tmp_path / "cluster", "s3://bucket/again")
    assert again.command[0] == "submit" and not again.waits
    images = json.loads((tmp_path / "cluster/images.json").read_text())
    assert images == {"default": image}


def _placed(run: Recorded, image: str, *, cluster: bool) -> Recorded:
    def moved(around: Surroundings | None) -> Surroundings:
        assert around is not None
        return around.model_copy(update={"image": image, "cluster": cluster})

    steps = {
        stage: record.model_copy(update={"surroundings": moved(record.surroundings)})
        for stage, record in run.steps.items()
    }
    return replace(run, steps=steps)


def test_params_are_those_of_the_run_but_for_places_and_names(
    ran: Workspace, tmp_path: Path
) -> None:
    found = found_in(ran, "model_version")
    again = reproduction.prepare(found, tmp_path)
    for stage in STAGES:
        config = stage_config(stage, tmp_path / "params.yaml", [])
        assert config.store == again.store and config.experiment == "geovr-reproduced"
        left_out = {"store", "experiment", "workers", "model_name", "dvc"}
        values = config.model_dump(mode="json", exclude=left_out)
        recorded = found.steps[stage.name].manifest.config
        assert values == {k: v for k, v in recorded.items() if k not in left_out}, stage.name


def test_a_run_that_went_on_from_another_is_refused(ran: Workspace, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(Path(store_of(ran)) / "records", store / "records")
    for path in (store / "records/Checkpoint").glob("*/*.json"):
        told = json.loads(path.read_text())
        told["manifest"]["config"]["resume_from"] = "ab" * 12
        told["manifest"]["store"] = str(store)
        path.write_text(json.dumps(told))
    with pytest.raises(UserError, match="went on from training abab"):
        find_run(ran.manifest("checkpoint")["content_digest"], str(store))
