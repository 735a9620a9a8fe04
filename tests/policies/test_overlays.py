"""The overlays: they render, keep every rule, and what they name is there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from geovr import launch
from geovr.stages import STAGES
from geovr.stages.run import stage_config
from infra.kubernetes import generated
from infra.policies import check
from infra.policies.__main__ import app
from infra.policies.manifests import Manifest, pod_specs, read
from tests.policies.conftest import DIGEST, KUBERNETES, manifests
from tests.workspace import REPOSITORY

pytestmark = pytest.mark.fault(53)
OVERLAYS = ("dev", "prod")
INPUTS = {
    "extract_targets": ("clips",),
    "train": ("clips", "targets"),
    "evaluate": ("clips", "checkpoint"),
}


def overlay(name: str) -> list[Manifest]:
    return manifests(KUBERNETES / "overlays" / name)


def varied(directory: Path, *components: str, without: tuple[str, ...] = ()) -> list[Manifest]:
    """The prod overlay with other components, as a user would write it."""

    def relative(path: Path) -> str:
        return os.path.relpath(path, directory.resolve())

    source = KUBERNETES / "overlays/prod"
    for path in source.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    told = yaml.safe_load((source / "kustomization.yaml").read_text())
    kept = [c for c in told["components"] if Path(c).name not in without]
    told["components"] = [
        *(relative((source / c).resolve()) for c in kept),
        *(relative(KUBERNETES / "components" / c) for c in components),
    ]
    told["resources"] = [r.replace("../../base", relative(KUBERNETES / "base")) for r in
                         told["resources"]]  # fmt: skip
    if "kueue" in components:  # it takes Volcano's queue away
        told["patches"] = [p for p in told["patches"] if p.get("path") != "queue.yaml"]
    if "postgres" in components:
        told["images"].append({"name": "postgres", "newName": "postgres", "digest": DIGEST})
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(told))
    return manifests(directory)


@pytest.mark.parametrize("name", ["overlays/dev", "overlays/prod", "mlflow-upgrade"])
def test_what_is_rendered_keeps_every_rule(name: str) -> None:
    findings = check(manifests(KUBERNETES / name))
    assert not findings, findings


def test_kueue_takes_the_place_of_volcanos_queue(tmp_path: Path) -> None:
    made = varied(tmp_path, "kueue")
    assert not check(made)
    kinds = {m.kind for m in made}
    assert {"ClusterQueue", "LocalQueue", "ResourceFlavor", "WorkloadPriorityClass"} <= kinds
    assert "Queue" not in kinds


def test_postgresql_can_be_in_the_namespace_in_prod_too(tmp_path: Path) -> None:
    made = varied(tmp_path, "postgres", without=("external-postgres",))
    assert not check(made)
    assert "geovr-postgres" in {m.name for m in made if m.kind == "StatefulSet"}


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        from geovr.cli import outcome

        sys.exit(outcome(lambda: app(list(arguments), standalone_mode=False)))
    return int(end.value.code or 0)


def test_a_digest_that_nobody_set_can_not_be_missed(capsys: pytest.CaptureFixture[str]) -> None:
    """As shipped the overlays are refused, for nothing but that."""
    prod = str(KUBERNETES / "overlays/prod")
    assert run("check", "--kustomize", prod) == 3
    told = capsys.readouterr()
    rules = {line.split()[0] for line in told.out.splitlines() if not line.startswith(" ")}
    assert rules == {"image-placeholder"}
    assert "images.json" in told.out and "findings in" in told.err
    assert run("check", "--kustomize", prod, "--allow-placeholders") == 0


def test_the_command_reads_files_and_says_what_it_can_not_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    job = str(REPOSITORY / "tests/golden/train-job.yaml")
    assert run("check", job) == 3
    assert "image-placeholder" in capsys.readouterr().out
    assert run("check", job, "--allow-placeholders") == 0
    for text, fault in (("a: [", "not YAML"), ("- 1", "list"), ("", "no manifest"),
                        ("a: 1", "apiVersion")):  # fmt: skip
        (tmp_path / "x.yaml").write_text(text)
        assert run("check", str(tmp_path / "x.yaml")) == 2
        assert fault in capsys.readouterr().err
    assert run("check") == 2
    assert run("check", "--kustomize", str(tmp_path / "none")) == 2
    assert run("rules") == 0
    assert "secret-literal" in capsys.readouterr().out


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_trigger_gets_the_very_files(name: str) -> None:
    """kustomize reads a directory's own files alone, so lists of files stand in several places."""
    maps = {m.name.rpartition("-")[0]: m.body["data"] for m in overlay(name)
            if m.kind == "ConfigMap"}  # fmt: skip
    recipes = REPOSITORY / "pipelines/recipes"
    assert maps["geovr-recipes"] == {p.name: p.read_text() for p in recipes.glob("*.yaml")}
    settings = {n: (KUBERNETES / "pipeline" / n).read_text() for n in ("dev.yaml", "prod.yaml")}
    assert maps["geovr-cluster"] == settings
    params = (KUBERNETES / "overlays" / name / "params.yaml").read_text()
    assert maps["geovr-params"]["params.yaml"] == params
    job = next(m for m in overlay(name) if m.kind == "CronJob")
    ((_, _, spec),) = pod_specs([job])
    assert f"--cluster=/etc/geovr-cluster/{name}.yaml" in spec["containers"][0]["args"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_jobs_of_the_overlays_parameters_fit_the_overlay(name: str) -> None:
    """`geovr launch` renders them; account, queue, class, claims and secrets are there."""
    made = overlay(name)
    there = {(m.kind, m.name) for m in made}
    keys = secret_keys(name)
    for stage in (stage for stage in STAGES if stage.name in INPUTS):
        image = [f"{stage.name}.launch.image=registry.example/geovr/gpu@{DIGEST}"]
        config = stage_config(stage, KUBERNETES / f"overlays/{name}/params.yaml", image)
        inputs = {name: f"artifacts/{name}" for name in INPUTS[stage.name]}
        (job,) = read(launch.dry_run(stage.name, config, inputs), stage.name)
        assert not check([job])
        assert ("Queue", job.body["spec"]["queue"]) in there
        assert ("PriorityClass", job.body["spec"]["priorityClassName"]) in there
        assert job.namespace in {m.name for m in made if m.kind == "Namespace"}
        for _, _, spec in pod_specs([job]):
            assert ("ServiceAccount", spec["serviceAccountName"]) in there
            for volume in spec["volumes"]:
                if claim := volume.get("persistentVolumeClaim"):
                    assert ("PersistentVolumeClaim", claim["claimName"]) in there
        for secret, key in references([job]):
            assert key in keys[secret]


def references(made: list[Manifest]) -> Iterator[tuple[str, str]]:
    """Secret and key of every reference in pods."""

    def walk(value: Any) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            if "secretKeyRef" in value:
                yield value["secretKeyRef"]["name"], value["secretKeyRef"]["key"]
            if "secretName" in value:
                yield from ((value["secretName"], item["key"]) for item in value["items"])
            for one in value.values():
                yield from walk(one)
        elif isinstance(value, list):
            for one in value:
                yield from walk(one)

    for _, _, spec in pod_specs(made):
        yield from walk(spec)


def secret_keys(name: str) -> dict[str, set[str]]:
    """Secret -> keys, as the overlay's user makes them."""
    if name == "dev":
        return {secret: set(data) for secret, data in generated.values().items()}
    return {
        m.name: set((m.body["spec"]["target"].get("template") or {}).get("data") or {})
        or {one["secretKey"] for one in m.body["spec"]["data"]}
        for m in overlay(name)
        if m.kind == "ExternalSecret"
    }


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_secret_that_is_named_is_made(name: str) -> None:
    found = set(references(overlay(name)))
    keys = secret_keys(name)
    assert found and all(key in keys[secret] for secret, key in found)
    settings = yaml.safe_load((KUBERNETES / f"pipeline/{name}.yaml").read_text())
    assert all(one["key"] in keys[one["name"]] for one in settings["secrets"].values())
    (endpoints,) = (m.body["data"] for m in overlay(name) if m.name == "geovr-endpoints")
    assert all(one["key"] in endpoints for one in settings["config_maps"].values())


@pytest.mark.parametrize("name", OVERLAYS)
def test_settings_of_the_pipeline_are_settings(name: str) -> None:
    cluster = pytest.importorskip("pipelines.cluster")
    cluster.read_cluster(KUBERNETES / f"pipeline/{name}.yaml")


def test_generated_secrets_differ_each_time_and_fit_together() -> None:
    import configparser

    one, other = generated.values(), generated.values()
    assert one["geovr-mlflow-server"] != other["geovr-mlflow-server"]
    server = one["geovr-mlflow-server"]
    assert one["geovr-postgres"]["password"] in server["database-uri"]
    parser = configparser.ConfigParser()
    parser.read_string(generated.auth_file("postgresql://me:a%2Fb@db/mlflow"))
    assert parser["mlflow"]["database_uri"] == "postgresql://me:a%2Fb@db/mlflow"
    assert {one["metadata"]["name"] for one in generated.secrets()} == set(one)
