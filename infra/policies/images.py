"""Images: by digest, and by a real one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from infra.policies.manifests import Manifest, containers, part, pod_specs
from infra.policies.pipelines import compiled
from infra.policies.rules import Found, rule

_DIGEST = re.compile(r"^[^@\s]+@sha256:([0-9a-f]{64})$")
_ANYWHERE = re.compile(r"[\w./:-]+@sha256:[0-9a-f]{64}")


def _images(manifests: Sequence[Manifest]) -> Iterator[tuple[Manifest, str, str]]:
    for manifest, where, spec in pod_specs(manifests):
        for place, container in containers(spec, where):
            yield manifest, f"{place}.image", str(container.get("image", ""))
    for pipeline in compiled(manifests):
        for place, container in pipeline.containers():
            yield pipeline.manifest, f"{place}.image", str(container.get("image", ""))


def _placeholder(image: str) -> bool:
    found = _DIGEST.match(image)
    return found is not None and len(set(found.group(1))) == 1


@rule("image-digest", "every image is named by its digest; a tag can move")
def image_digest(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest, where, image in _images(manifests):
        if not _DIGEST.match(image):
            yield manifest, where, f"{image or 'no image'}: name it by @sha256:..."


def _within(manifests: Sequence[Manifest]) -> Iterator[tuple[Manifest, str, str]]:
    """Images in files that ConfigMaps hold, such as the trigger's images.json."""
    for manifest in manifests:
        if manifest.kind == "ConfigMap":
            for name, text in part(manifest.body, "data").items():
                for image in _ANYWHERE.findall(str(text)):
                    yield manifest, f"data.{name}", image


@rule("image-placeholder", "no digest is a placeholder (--allow-placeholders leaves this out)")
def image_placeholder(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest, where, image in (*_images(manifests), *_within(manifests)):
        if _placeholder(image):
            yield (
                manifest, where,
                f"{image}: set the digest, in the overlay's `images:` or images.json",
            )  # fmt: skip
