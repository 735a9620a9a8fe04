"""The flow in containers: any user, a root that can't be written to, a network with two servers."""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from geovr.artifacts import git_sha
from infra.docker.engine import Engine
from infra.local.s3 import BUCKET
from infra.local.servers import Servers, serving
from pipelines.docker import LABEL
from tests import servers as local_servers
from tests.engine import timed
from tests.workspace import Workspace

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1500)]
REACH = """
import json, socket, sys
def reaches(place):
    host, port = place.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True
print(json.dumps([reaches(place) for place in sys.argv[1:]]))
"""


@dataclass(frozen=True)
class Network:
    """A network of Docker's without a way out."""

    name: str
    gateway: str


@contextlib.contextmanager
def internal_network(engine: Engine) -> Iterator[Network]:
    with contextlib.closing(engine.client()) as client:
        name = f"geovr-test-{secrets.token_hex(4)}"
        made = client.networks.create(name, driver="bridge", internal=True)
        try:
            made.reload()
            yield Network(name, made.attrs["IPAM"]["Config"][0]["Gateway"].partition("/")[0])
        finally:
            made.remove()


@pytest.fixture
def two_scenes(workspace: Workspace) -> Workspace:
    shutil.rmtree(workspace.root / "data")
    workspace.inline("simulate", "--output", "data/rooms", "--scenes", "1+1", "--processes", "1")
    workspace.params({"train": {"steps": 2, "clips_per_batch": 1}})
    return workspace


def reached(engine: Engine, image: str, network: Network, *places: str) -> list[bool]:
    with contextlib.closing(engine.client()) as client:
        said = client.containers.run(
            image, ["python3", "-c", REACH, *places], network=network.name, remove=True,
            cap_drop=["ALL"], read_only=True, user="4242:4242",
        )  # fmt: skip
    told: list[bool] = json.loads(said)
    return told


@contextlib.contextmanager
def listener(engine: Engine, image: str, network: Network) -> Iterator[str]:
    """A container that takes connections: its address and port."""
    with contextlib.closing(engine.client()) as client:
        made = client.containers.run(
            image, ["python3", "-m", "http.server", "8000"], network=network.name, detach=True,
            cap_drop=["ALL"], read_only=True, user="4242:4242",
        )  # fmt: skip
        try:
            made.reload()
            address = made.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"]
            deadline = time.monotonic() + 30
            while reached(engine, image, network, f"{address}:8000") != [True]:
                assert time.monotonic() < deadline, made.logs()
            yield f"{address}:8000"
        finally:
            made.remove(force=True)


def holders(root: Path, hidden: str) -> list[Path]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return [path for path in files if hidden.encode() in path.read_bytes()]


@pytest.mark.fault(52)
@pytest.mark.fault(54)
def test_the_flow_in_containers_of_any_user(
    two_scenes: Workspace,
    on_engine: Engine,
    cpu_image: str,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> None:
    local_servers.require()
    user = secrets.randbelow(2**30) + 70_000
    canary = secrets.token_hex(20)
    with internal_network(on_engine) as network, internal_network(on_engine) as other:
        with timed(pytestconfig, "servers up"):
            stack = contextlib.ExitStack()
            up: Servers = stack.enter_context(serving(tmp_path / "servers", network.gateway))
        with stack, listener(on_engine, cpu_image, other) as elsewhere:
            # the two servers, and neither their database nor what is on another network
            places = [
                f"{network.gateway}:{up.objects.port}",
                f"{network.gateway}:{up.tracking.port}",
                f"{network.gateway}:{up.database.port}",
                elsewhere,
            ]
            assert reached(on_engine, cpu_image, network, *places) == [True, True, False, False]

            client, videos = up.objects.client(), two_scenes.root / "data/rooms/videos"
            for path in videos.rglob("*.mp4"):
                key = f"videos/{path.relative_to(videos).as_posix()}"
                client.upload_file(str(path), BUCKET, key)
            with timed(pytestconfig, "the flow in containers"):
                said = two_scenes.run(
                    "python", "-m", "pipelines", "run", "--docker", "--image", cpu_image,
                    "--network", network.name, "--user", f"{user}:{user}", "--root", "kept/kfp",
                    "--set", f"store=s3://{BUCKET}/store",
                    "--set", f"ingest.videos=s3://{BUCKET}/videos",
                    shared=up.variables
                    | {
                        "DOCKER_HOST": on_engine.host,
                        "GEOVR_HOME": str(two_scenes.root / "home"),
                        "REGISTRY_TOKEN": canary,
                    },
                )  # fmt: skip
            kept = client.list_objects_v2(Bucket=BUCKET, Prefix="store/training/")["Contents"]
    assert "Registered geovr version 1" in said
    assert any(item["Key"].endswith("model.safetensors") for item in kept)
    assert not (two_scenes.root / ".geovr/store").exists()
    manifests = list((two_scenes.root / "kept/kfp").rglob("manifest.json"))
    assert len(manifests) == 7
    for path in manifests:
        assert path.stat().st_uid == user
        assert json.loads(path.read_text())["git_sha"] == git_sha()
    with contextlib.closing(on_engine.client()) as docker:
        assert not docker.containers.list(all=True, filters={"label": LABEL})
        image = docker.images.get(cpu_image)
        baked = json.dumps([image.attrs, image.history()])
    for hidden in (canary, up.objects.secret, up.database.password):
        assert hidden not in said and hidden not in baked
        assert not holders(two_scenes.root, hidden)


def silent_image(engine: Engine, base: str) -> str:
    """An image whose containers do nothing, at once, and say that all is well."""
    recipe = f'FROM {base}\nENTRYPOINT ["/bin/true"]\n'
    with contextlib.closing(engine.client()) as client:
        client.images.build(fileobj=io.BytesIO(recipe.encode()), tag="geovr/silent:test")
    return "geovr/silent:test"


@pytest.mark.fault(54)
def test_a_container_that_vanishes_is_no_stage_that_is_done(
    workspace: Workspace, on_engine: Engine, base_image: str
) -> None:
    said = workspace.run(
        "python", "-m", "pipelines", "run", "--docker", "--user", "4242:4242",
        "--image", silent_image(on_engine, base_image),
        "--set", "store=kept/store", "--root", "kept/kfp",
        code=1,
        shared={"DOCKER_HOST": on_engine.host, "GEOVR_HOME": str(workspace.root / "home")},
    )  # fmt: skip
    assert "RuntimeError: ingest: it ended without saying how" in said
    assert "Registered" not in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": "geovr/cpu:nobody-built-it"}, "geovr/cpu:nobody-built-it: the Docker engine"),
        ({}, "build/images/images.json: no image in it; run make images"),
    ],
)
def test_an_image_that_is_not_there_is_refused_before_anything_starts(
    workspace: Workspace, on_engine: Engine, options: dict[str, Any], message: str
) -> None:
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    said = workspace.run(
        "python", "-m", "pipelines", "run", "--docker", *given, code=2,
        shared={"DOCKER_HOST": on_engine.host},
    )  # fmt: skip
    assert message in said
