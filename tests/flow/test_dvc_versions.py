"""Versions of data on real servers: DVC's remote on S3, and the pipeline on each of them.

The records, objects and checkpoints are on the same S3, MLflow is on PostgreSQL.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from geovr import tracking
from geovr.model_registry import CHAMPION, ModelRegistry
from geovr.stages import STAGES
from infra.local.s3 import BUCKET
from infra.local.servers import Servers
from tests.data_versions import DataRepository, make_repository, params_of
from tests.workspace import Workspace, make_workspace

pytestmark = pytest.mark.servers
MODEL, STORE = "versions", f"s3://{BUCKET}/versions/store"
REPRODUCE = ("python", "-m", "pipelines", "reproduce")


@pytest.fixture(scope="module")
def data(
    template: Path, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> DataRepository:
    root = tmp_path_factory.mktemp("versions") / "git"
    rooms = template / "data/rooms"
    return make_repository(root, rooms, f"s3://{BUCKET}/dvc", servers.objects.variables)


def content(place: Path) -> dict[str, str]:
    """Relative path -> sha256 of each file."""
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


def test_a_clone_with_an_empty_cache_gets_the_same_bytes(
    data: DataRepository, on_servers: Servers, template: Path, tmp_path: Path
) -> None:
    clone = Workspace(tmp_path)
    clone.run("git", "clone", "--quiet", str(data.path), "clone")
    clone = Workspace(tmp_path / "clone")
    assert not list(clone.root.glob(".dvc/cache/**/*.dir"))
    clone.run("dvc", "pull", "--quiet", shared=on_servers.variables)
    assert content(clone.root / "rooms") == content(template / "data/rooms")
    # nothing of the credentials is in what git and DVC keep
    secret = on_servers.objects.secret.encode()
    for root in (clone.root, data.path):
        assert not [p for p in root.rglob("*") if p.is_file() and secret in p.read_bytes()]


def fresh(root: Path, template: Path, data: DataRepository, version: str) -> Workspace:
    """A work directory that has no data but what DVC brings."""
    workspace = make_workspace(root, template)
    shutil.rmtree(root / "data")
    # by its URL, so that nothing comes from the cache beside the repository
    workspace.params(params_of(data.path.as_uri(), version))
    workspace.params({"register": {"model_name": MODEL}})
    params = yaml.safe_load((root / "params.yaml").read_text())
    params |= {"store": STORE, "experiment": MODEL}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    return workspace


def flow(workspace: Workspace) -> str:
    return "".join(workspace.inline(stage.name) for stage in STAGES)


def carried(workspace: Workspace) -> list[dict[str, Any]]:
    """What the manifests say of the data."""
    names = ("clips", "targets", "checkpoint", "evaluation", "model_version")
    return [workspace.manifest(name)["details"]["dvc"] for name in names]


def test_back_to_an_earlier_version_and_the_same_once_more(
    data: DataRepository, on_servers: Servers, template: Path, tmp_path: Path
) -> None:
    newer = fresh(tmp_path / "newer", template, data, "v2")
    logs = flow(newer)
    earlier = fresh(tmp_path / "earlier", template, data, "v1")
    logs += flow(earlier)

    registry = ModelRegistry(MODEL)
    for number, workspace, version in ((1, newer, "v2"), (2, earlier, "v1")):
        told = {
            "repo": data.path.as_uri(), "rev": data.commits[version],
            "path": "rooms", "md5": data.md5s[version],
        }  # fmt: skip
        assert carried(workspace) == [told] * 5
        tags = {f"geovr.data.{name}": value for name, value in told.items()}
        assert tags.items() <= registry.version(number).tags.items()
        details = workspace.manifest("evaluation")["details"]
        for run in ("mlflow_run_id", "evaluation_run_id"):
            assert tags.items() <= tracking.tags_of(details[run]).items(), run

    # of what both versions have nothing was made again
    assert newer.manifest("clips")["counts"]["clips"] == 12
    details = earlier.manifest("clips")["details"]
    assert (details["decoded"], details["reused"]) == (0, 11)
    details = earlier.manifest("targets")["details"]
    assert (details["teacher_calls"], details["reused"]) == (0, 7)
    secret = on_servers.objects.secret
    assert secret not in logs

    # a tag can be moved: what counts is the commit that it named
    data.workspace.run("git", "tag", "--force", "--annotate", "--message", "moved", "v1", "v2")
    _again(earlier, data, on_servers)
    champion = registry.by_alias(CHAMPION)
    assert champion is not None and registry.by_number(3) is None


def _again(earlier: Workspace, data: DataRepository, on_servers: Servers) -> None:
    """The run on the earlier version, computed anew in a store of its own."""
    asked = (*REPRODUCE, f"{MODEL}/2", "--directory", "again")
    command = (*asked, "--run", "--allow-different-code")
    told = earlier.run(*command, shared=on_servers.variables)
    assert f"rev {data.commits['v1']}" in told and f"md5 {data.md5s['v1']}" in told
    assert "reproduced: every digest that was compared is equal" in told
    for name in ("clips", "targets", "checkpoint", "evaluation"):
        digest = earlier.manifest(name)["content_digest"][:32]
        (row,) = [line for line in told.splitlines() if line.count(digest) == 2]
        assert re.search(r"\bequal\b", row), name
    again = earlier.root / "again"
    assert len(list((again / "store/clips").rglob("*.safetensors"))) == 11
    assert list((again / "store/training").glob("*/finished.json"))
    # what was registered is a version of another model
    params = yaml.safe_load((again / "params.yaml").read_text())
    assert params["register"]["model_name"] == f"{MODEL}-reproduced"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEOVR_HOME", str(again))
        patch.delenv("MLFLOW_TRACKING_URI")
        assert ModelRegistry(f"{MODEL}-reproduced").version(1)
    assert ModelRegistry(f"{MODEL}-reproduced").by_number(1) is None
    told = earlier.run(*command, shared=on_servers.variables, code=2)
    assert "holds a whole run already" in told and "--compare" in told
