"""Build the targets of infra/docker/Dockerfile, from the files that git knows."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from geovr import __version__
from geovr.artifacts import git_sha
from geovr.errors import UserError
from infra.docker.engine import Engine

ROOT = Path(__file__).parents[2]
TARGETS = ("cpu", "gpu", "teacher")
_CERTIFICATES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
_SOURCES = (
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL", "UV_INDEX_STRATEGY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


def image_name(target: str, sha: str) -> str:
    """The local name of a target's image of a commit."""
    return f"geovr/{target}:{sha}"


def build(engine: Engine, target: str, base: str) -> str:
    """Build a target; its local name. What was built before is found again.

    Args:
        engine: that builds and keeps it.
        target: cpu, gpu or teacher.
        base: image to build on.

    Raises:
        UserError: when it can't be built here; what BuildKit says stands above.
    """
    if target not in TARGETS:
        raise UserError(f"{target}: no such image; there are {', '.join(TARGETS)}")
    sha = git_sha()
    if sha == "unknown":
        raise UserError(f"{ROOT}: not a git checkout, and images are named for their commit")
    name = image_name(target, sha)
    with tempfile.TemporaryDirectory(prefix="geovr-build-") as secrets:
        command = [
            _client(engine), "build", "--progress", "plain", "--target", target, "--tag", name,
            "--file", "infra/docker/Dockerfile", "--build-arg", f"BASE={base}",
            "--build-arg", f"GIT_SHA={sha}", "--build-arg", f"VERSION={__version__}",
            *_secrets(Path(secrets)), *(["--network", "host"] if engine.process else []), "-",
        ]  # fmt: skip
        with subprocess.Popen(_packing(), cwd=ROOT, stdout=subprocess.PIPE) as context:
            made = subprocess.run(
                command, stdin=context.stdout, env=_environment(engine), check=False
            )
    if made.returncode != 0 or context.returncode != 0:
        raise UserError(f"{name}: the build ended {made.returncode}; BuildKit says why above")
    return name


def _packing() -> list[str]:
    """Tracked files only: what nobody committed is in no image, unless its name says -dirty."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    wanted = ("geovr/", "components/", "pipelines/", "infra/")
    files = [
        name
        for name in filter(None, listed)
        if (name.startswith(wanted) or "/" not in name) and (ROOT / name).exists()
    ]
    return ["tar", "-c", "--", *files]


def _environment(engine: Engine) -> dict[str, str]:
    return os.environ | {"DOCKER_BUILDKIT": "1", "DOCKER_HOST": engine.host}


def _client(engine: Engine) -> str:
    """A docker command that speaks BuildKit; not every one on a machine does.

    Raises:
        UserError: when none does.
    """
    for place in dict.fromkeys((shutil.which("docker"), "/usr/bin/docker")):
        if place is None or not Path(place).exists():
            continue
        told = subprocess.run(
            [place, "build", "--help"],
            env=_environment(engine), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if told.returncode == 0 and "--secret" in told.stdout:
            return place
    raise UserError(
        "no docker command here has BuildKit; install Docker's buildx, or Debian's docker.io"
    )


def _secrets(directory: Path) -> list[str]:
    """This machine's way to the packages, where it has one of its own; no layer keeps it."""
    settings, arguments = {}, []
    for name in _CERTIFICATES:
        bundle = os.environ.get(name)
        if bundle and Path(bundle).is_file():
            arguments += ["--secret", f"id=ca,src={bundle}"]
            settings = dict.fromkeys(_CERTIFICATES, "/run/secrets/ca")
            break
    for name in _SOURCES:
        value = os.environ.get(name, "")
        if value and "file:" not in value:
            settings[name] = value
    if settings:
        path = directory / "settings"
        path.touch(mode=0o600)
        path.write_text("".join(f"export {k}={shlex.quote(v)}\n" for k, v in settings.items()))
        arguments += ["--secret", f"id=settings,src={path}"]
    return arguments


def image_id(engine: Engine, name: str) -> str:
    """The id of an image of the engine.

    Raises:
        UserError: when it hasn't got it.
    """
    import docker

    with contextlib.closing(engine.client()) as client:
        try:
            return str(client.images.get(name).id)
        except docker.errors.ImageNotFound:
            raise UserError(f"{name}: the engine hasn't got it; run make images again") from None
