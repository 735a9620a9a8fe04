"""build/images/: which image is which.

built.json    target -> the id that it had when it was built
images.json   what `compile --images` takes: step or launch.<step> -> image by digest
<target>.cdx.json   what is in it (CycloneDX)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geovr.errors import UserError
from geovr.storage import write_atomic
from infra.docker.build import TARGETS, image_id
from infra.docker.engine import Engine
from infra.local.processes import LOOPBACK

DIRECTORY = Path("build/images")
USES = {
    "cpu": ("default",),
    "gpu": ("launch.train", "launch.evaluate"),
    "teacher": ("launch.extract_targets",),
}
"""Target -> the keys of images.json that it goes under."""
TITLE, REVISION = "org.opencontainers.image.title", "org.opencontainers.image.revision"
_MANIFEST = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in ("docker.distribution.manifest.v2", "oci.image.manifest.v1")
)


def write_built(directory: Path, ids: Mapping[str, str]) -> None:
    """Keep which image each name was when it was built."""
    _write(directory / "built.json", ids)


def require_as_built(engine: Engine, directory: Path, name: str) -> None:
    """Refuse a name that has come to mean another image since it was built.

    Raises:
        UserError: naming the image.
    """
    built = _read(directory / "built.json").get(name)
    found = image_id(engine, name)
    if built is None:
        raise UserError(f"{name}: not in {directory / 'built.json'}; build it with make images")
    if found != built:
        raise UserError(
            f"{name}: exchanged since it was built: it was {built} and is {found}; run make images"
            " again, and find out who tagged another one"
        )


def write_images(directory: Path, pushed: Mapping[str, str]) -> Path:
    """Write images.json of what was pushed, target -> image by digest; nothing else is in it."""
    images = {key: image for target, image in pushed.items() for key in USES[target]}
    _write(directory / "images.json", images)
    return directory / "images.json"


def verify(engine: Engine, path: Path) -> list[str]:
    """Check that every image of an images.json is there, and is what its key says.

    Returns:
        one line for each image.

    Raises:
        UserError: naming the image that is missing or was exchanged, and the remedy.
    """
    images = _read(path)
    if not images:
        raise UserError(f"{path}: no images in it; run make images")
    lines, revisions = [], {}
    expected = {key: target for target in TARGETS for key in USES[target]}
    with contextlib.closing(engine.client()) as client:
        labels = {image: _labels(client, image) for image in dict.fromkeys(images.values())}
    for key, image in images.items():
        told = labels[image]
        title, revision = told.get(TITLE, "no title"), told.get(REVISION, "no commit")
        target = expected.get(key, "cpu")
        if title != f"geovr/{target}":
            raise UserError(
                f"{path}: {key}: {image} is {title} by its label, not geovr/{target}; it was"
                " exchanged: run make images again"
            )
        revisions[image] = revision
        lines.append(f"{key}: {image} is {title} of commit {revision}")
    if len(set(revisions.values())) > 1:
        told_of = ", ".join(f"{image} of {sha}" for image, sha in revisions.items())
        raise UserError(f"{path}: images of different commits: {told_of}; run make images again")
    return lines


def _labels(client: Any, image: str) -> dict[str, str]:
    """Labels of an image that the registry has under this digest."""
    import docker

    host = image.partition("/")[0]
    try:
        if host.partition(":")[0] == LOOPBACK:
            _require_untouched(host, image)
        # of any other registry the engine is asked, which has the credentials; what it pulls it
        # compares with the digest, but what it has already it doesn't ask for
        client.images.get_registry_data(image)
        try:
            found = client.images.get(image)
        except docker.errors.ImageNotFound:
            found = client.images.pull(image)
    except (docker.errors.APIError, OSError) as error:
        raise UserError(
            f"{image}: missing from its registry, or exchanged ({error}); run make images again"
        ) from None
    return dict(found.labels)


def _require_untouched(host: str, image: str) -> None:
    """Compare what our own registry holds with the digest: its files are open to this machine.

    Raises:
        OSError: when the manifest or a layer is missing.
        UserError: when it is another one.
    """
    repository, _, digest = image.removeprefix(f"{host}/").partition("@")
    place = f"http://{host}/v2/{repository}"
    asked = urllib.request.Request(f"{place}/manifests/{digest}", headers={"Accept": _MANIFEST})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        manifest = answer.read()
    if f"sha256:{hashlib.sha256(manifest).hexdigest()}" != digest:
        raise UserError(
            f"{image}: exchanged: its registry gives another manifest under this digest; run make"
            " images again"
        )
    told = json.loads(manifest)
    for part in (told["config"], *told["layers"]):
        asked = urllib.request.Request(f"{place}/blobs/{part['digest']}", method="HEAD")
        with urllib.request.urlopen(asked, timeout=60) as answer:
            if int(answer.headers["Content-Length"]) != part["size"]:
                raise UserError(f"{image}: exchanged: {part['digest']} has another size")


def _read(path: Path) -> dict[str, str]:
    try:
        told = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); run make images again") from None
    return {str(key): str(value) for key, value in told.items()}


def _write(path: Path, values: Mapping[str, str]) -> None:
    write_atomic(path, (json.dumps(dict(values), indent=2, sort_keys=True) + "\n").encode())
