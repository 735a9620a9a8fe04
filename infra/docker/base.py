"""A Debian to build on, made by debootstrap where no registry can be reached."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

from geovr.config import digest
from geovr.errors import UserError
from infra.docker.engine import Engine
from infra.local.processes import find

REMEDY = (
    "give --base with an image by its digest (python:3.11-slim@sha256:... is one), or as root"
    " install Debian's debootstrap"
)
RECIPE = {
    "suite": "bookworm",
    "variant": "minbase",
    "include": "ca-certificates,git,python3,python3-venv",
    "left_out": ["var/cache/apt/archives", "var/lib/apt/lists", "var/log"],
}


def base_name() -> str:
    """The base's name: another recipe, another name."""
    return f"geovr/base:{digest(RECIPE)[:16]}"


def require_pinned(base: str) -> str:
    """A base that was given, when its name says which one it is.

    Raises:
        UserError: when the name can move.
    """
    if "@sha256:" not in base and base != base_name():
        raise UserError(f"--base {base}: name it by its digest, NAME@sha256:..., for tags can move")
    return base


def make_base(engine: Engine, directory: Path) -> str:
    """Make it, unless the engine has it; its name.

    Args:
        engine: that keeps it.
        directory: for its files while it is made.

    Raises:
        UserError: when debootstrap is missing or fails.
    """
    import docker

    name = base_name()
    with contextlib.closing(engine.client()) as client:
        with contextlib.suppress(docker.errors.ImageNotFound):
            client.images.get(name)
            return name
        debootstrap = find("debootstrap", "/usr/sbin", remedy=REMEDY)
        if os.geteuid() != 0:
            raise UserError(f"only root can make a base image; {REMEDY}")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix="base-", dir=directory) as place:
            command = [
                debootstrap, f"--variant={RECIPE['variant']}", f"--include={RECIPE['include']}",
                str(RECIPE["suite"]), f"{place}/root",
            ]  # fmt: skip
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode != 0:
                raise UserError(f"debootstrap failed: {(made.stdout + made.stderr)[-1500:]}")
            left_out = [f"--exclude=./{path}/*" for path in RECIPE["left_out"]]
            packing = ["tar", "-C", f"{place}/root", "--numeric-owner", *left_out, "-c", "."]
            with subprocess.Popen(packing, stdout=subprocess.PIPE) as tar:
                repository, _, tag = name.partition(":")
                client.api.import_image_from_stream(tar.stdout, repository=repository, tag=tag)
            if tar.returncode != 0:
                client.images.remove(name)
                raise UserError(f"{place}: tar ended {tar.returncode}; is the disk full?")
    return name
