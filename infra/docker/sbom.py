"""What is in an image, as CycloneDX: the image itself is asked, not what it was made from."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from geovr import __version__
from geovr.errors import UserError
from geovr.storage import write_atomic
from infra.docker.engine import Engine


def write(engine: Engine, target: str, image: str, sha: str, path: Path) -> str:
    """Write the bill of an image's materials; a line about it.

    Args:
        engine: that has the image.
        target: which image of GeoVR it is.
        image: its name.
        sha: commit it was built from.
        path: file to write.

    Raises:
        UserError: when the image can't say what is in it.
    """
    contents = ask(engine, image)
    text = render(target, sha, contents)
    write_atomic(path, text.encode())
    counts = {kind: len(found) for kind, found in contents.items()}
    return f"{path} lists {', '.join(f'{count} {kind}' for kind, count in counts.items())}"


def ask(engine: Engine, image: str) -> dict[str, list[dict[str, Any]]]:
    """What the image says is in it, by infra/docker/contents.py in a container without network."""
    import docker

    script = (Path(__file__).parent / "contents.py").read_text()
    with contextlib.closing(engine.client()) as client:
        try:
            said = client.containers.run(
                image,
                ["python3", "-c", script],
                remove=True,
                network_mode="none",
                read_only=True,
                tmpfs={"/tmp": ""},
                user="65534:65534",
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
            )
        except docker.errors.DockerException as error:
            raise UserError(f"{image}: can't say what is in it: {error}") from None
    told: dict[str, list[dict[str, Any]]] = json.loads(said)
    return told


def render(target: str, sha: str, contents: dict[str, list[dict[str, Any]]]) -> str:
    """The bill as CycloneDX 1.6 JSON, the same for the same contents."""
    from uuid import NAMESPACE_URL, uuid5

    from cyclonedx.model import Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    image = Component(
        name=f"geovr/{target}",
        version=f"{__version__}+{sha}",
        type=ComponentType.CONTAINER,
        bom_ref=f"geovr/{target}",
        licenses=_licences("Apache-2.0"),
    )
    components = [
        Component(
            name=one["name"],
            version=one["version"],
            licenses=_licences(one["licence"]),
            purl=(purl := PackageURL("pypi", None, _pypi(one["name"]), one["version"])),
            bom_ref=str(purl),
        )
        for one in {(p["name"], p["version"]): p for p in contents["python"]}.values()
    ]
    for one in contents["debian"]:
        qualifiers = {"arch": one["architecture"], "distro": "bookworm"}
        purl = PackageURL("deb", "debian", one["name"], one["version"], qualifiers)
        components.append(
            Component(
                name=one["name"],
                version=one["version"],
                licenses=_licences(*one["licences"]),
                purl=purl,
                bom_ref=str(purl),
            )
        )
    for one in contents["ffmpeg"]:
        told = {"geovr:bundled_in": "av", "geovr:configuration": one["configuration"]}
        components.append(
            Component(
                name=one["name"],
                version=one["version"] or None,
                licenses=_licences(one["licence"]),
                bom_ref=f"av.libs/{one['name']}",
                properties=[Property(name=k, value=v) for k, v in told.items() if v],
            )
        )
    # which of them wants which isn't told: all belong to the image
    bom = Bom(
        components=components,
        metadata=BomMetaData(component=image),
        serial_number=uuid5(NAMESPACE_URL, json.dumps([target, sha, contents], sort_keys=True)),
    )
    bom.register_dependency(image, components)
    bom.metadata.timestamp = None  # type: ignore[assignment]  # else no two bills are equal
    text: str = JsonV1Dot6(bom).output_as_string(indent=2)
    return text + "\n"


def _licences(*told: str) -> list[Any]:
    """As SPDX names them where it knows them, else in their own words."""
    from cyclonedx.factory.license import LicenseFactory
    from cyclonedx.model.license import LicenseExpression

    made = [LicenseFactory().make_from_string(one) for one in told if one]
    # an expression stands alone, or not at all
    if len(made) > 1 and any(isinstance(one, LicenseExpression) for one in made):
        return [LicenseFactory().make_with_name(one) for one in told if one]
    return made


def _pypi(name: str) -> str:
    """As package URLs want it."""
    return name.lower().replace("_", "-")
