"""build/images/: which image is which.

built.json    target -> the id that it had when it was built
images.json   what `compile --images` takes: step or launch.<step> -> image by digest
<target>.cdx.json   what is in it (CycloneDX)
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geovr.errors import UserError
from geovr.storage import write_atomic
from infra.docker.build import TARGETS, image_id
from infra.docker.engine import Engine

DIRECTORY = Path("build/images")
USES = {
    "cpu": ("default",),
    "gpu": ("launch.train", "launch.evaluate"),
    "teacher": ("launch.extract_targets",),
}
"""Target -> the keys of images.json that it goes under."""
TITLE, REVISION = "org.opencontainers.image.title", "org.opencontainers.image.revision"


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

    try:
        # the registry is asked although the engine may have it: pods pull it from there
        known = client.images.get_registry_data(image).id
        try:
            found = client.images.get(image)
        except docker.errors.ImageNotFound:
            found = client.images.pull(image)
    except docker.errors.APIError as error:
        raise UserError(
            f"{image}: missing from its registry, or not what its digest says"
            f" ({error.explanation}); run make images again"
        ) from None
    if known != image.rpartition("@")[2]:
        raise UserError(f"{image}: exchanged: its registry gives {known}; run make images again")
    return dict(found.labels)


def _read(path: Path) -> dict[str, str]:
    try:
        told = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); run make images again") from None
    return {str(key): str(value) for key, value in told.items()}


def _write(path: Path, values: Mapping[str, str]) -> None:
    write_atomic(path, (json.dumps(dict(values), indent=2, sort_keys=True) + "\n").encode())
