"""What each stage leaves of itself in the store: when it ran, how long, its manifest and files.

records/<kind>/<digest>/<began>-<seal>.json   one run of a stage; <digest> is its output's, and of
                                              a gate that of what it judged
records/files/<ab>/<sha256>                   the files that its manifest names

Runs that made the same thing lie side by side; nothing is written over.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from geovr import distributed
from geovr.artifacts import Artifact, Kind, Manifest
from geovr.config import Config, digest
from geovr.errors import GateRefused, LostObject, StoreError, UserError
from geovr.storage import Store, write_atomic

log = logging.getLogger("geovr")
A = TypeVar("A", bound=Artifact)

_NOT_KEPT = ("data_docs/", "report.html")
"""A gate's pages of every expectation, some megabytes; the page that records are read for."""


_PACKAGES = ("av", "numpy", "peft", "torch", "torchvision", "transformers")
"""Packages that have a say in what stages compute."""


class Surroundings(Config):
    """In what a stage ran, as far as that may decide what came out."""

    image: str | None
    """By digest, as GEOVR_IMAGE or `launch.image` says; None of what ran in no image."""
    cluster: bool
    """Whether in a pod of Kubernetes."""
    processes: int
    python: str
    machine: str
    """Architecture of the processor."""
    threads: str | None
    """OMP_NUM_THREADS, where it was set."""
    packages: dict[str, str]
    """Name -> version."""


class Record(Config):
    """One run of one stage."""

    stage: str
    status: Literal["done", "refused"]
    began: datetime
    """In UTC."""
    seconds: float
    """From the call of the stage to its artifact, starting processes included."""
    manifest: Manifest
    surroundings: Surroundings | None = None
    """None of runs of before this was kept."""


@dataclass(frozen=True)
class Kept:
    """All runs that made one artifact, oldest first."""

    store: Store
    runs: tuple[Record, ...]

    @property
    def made(self) -> Record:
        """The run that made it; later ones found it done."""
        return self.runs[0]

    def file(self, name: str) -> bytes:
        """A file of the artifact as the newest run left it.

        Raises:
            LostObject: when it was not kept or is damaged.
        """
        sha256 = self.runs[-1].manifest.files.get(name)
        if sha256 is None or not _is_kept(name):
            raise LostObject(f"{name}: no file of that {self.runs[-1].manifest.kind}")
        return self.store.get(_file_key(sha256), sha256)

    def open(self, cls: type[A], directory: Path) -> A:
        """The artifact again, in a directory; without the files that are not kept."""
        manifest = self.runs[-1].manifest
        for name in filter(_is_kept, manifest.files):
            write_atomic(directory / name, self.file(name))
        write_atomic(directory / "manifest.json", manifest.model_dump_json(indent=2).encode())
        return cls(directory, manifest)


def recorded(stage: str, store: str, output: Path, run: Callable[[], object]) -> float:
    """Run a stage and keep a record of it; gives the seconds it took.

    What a gate refused is kept as well. A store that doesn't take the record is told of in the
    log: the stage itself is done.

    Args:
        stage: its name.
        store: URI of the store.
        output: directory that the stage writes.
        run: the stage.
    """
    began, clock = datetime.now(UTC), time.monotonic()
    try:
        run()
    except GateRefused:
        if not (output / "manifest.json").is_file():
            raise  # an evaluation with answers missing, which reports nothing
        _keep(stage, "refused", began, time.monotonic() - clock, store, output)
        raise
    seconds = time.monotonic() - clock
    if distributed.rank() == 0:
        _keep(stage, "done", began, seconds, store, output)
    return seconds


def find(stores: Iterable[Store], kind: Kind, of: str) -> Kept | None:
    """The runs that made an artifact, from the first store that knows any.

    Args:
        stores: where to look.
        kind: of the artifact.
        of: its content digest; of a gate's report, `judged` of the gate's inputs.
    """
    for store in stores:
        runs = []
        for key in store.keys(f"records/{kind}/{of}"):
            try:
                runs.append(Record.model_validate_json(store.get(key)))
            except ValidationError as error:
                log.warning("%s: not a record this version reads: %s", store.uri_of(key), error)
        if runs:
            return Kept(store, tuple(sorted(runs, key=lambda record: record.began)))
    return None


def surroundings(manifest: Manifest) -> Surroundings:
    """In what the stage ran that wrote this manifest, told in the process that started it."""
    launch = manifest.config.get("launch") or {}
    scheduler, processes = launch.get("scheduler", "inline"), distributed.world_size()
    if scheduler != "inline":
        processes = launch["nodes"] * launch["processes_per_node"]
    # the job's own image, which is not that of the step that launches it
    job = launch.get("image") if scheduler in ("local_docker", "kubernetes") else None
    versions = {name: _version(name) for name in _PACKAGES}
    return Surroundings(
        image=job or os.environ.get("GEOVR_IMAGE") or None,
        cluster="KUBERNETES_SERVICE_HOST" in os.environ,
        processes=processes,
        python=platform.python_version(),
        machine=platform.machine(),
        threads=os.environ.get("OMP_NUM_THREADS"),
        packages={name: version for name, version in versions.items() if version is not None},
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def judged(inputs: dict[str, str]) -> str:
    """Under what a gate's report is found: its inputs, name -> content digest."""
    return digest(inputs)


def _keep(
    stage: str,
    status: Literal["done", "refused"],
    began: datetime,
    seconds: float,
    store: str,
    output: Path,
) -> None:
    try:
        path = output / "manifest.json"
        manifest = Manifest.model_validate_json(path.read_bytes())
        record = Record(
            stage=stage,
            status=status,
            began=began,
            seconds=round(seconds, 3),
            manifest=manifest,
            surroundings=surroundings(manifest),
        )
        place = Store.open(store)
        for name, sha256 in manifest.files.items():
            if _is_kept(name) and not place.exists(_file_key(sha256)):
                place.put(_file_key(sha256), (output / name).read_bytes())
        of = manifest.content_digest
        if manifest.kind == "GateReport":
            of = judged(manifest.inputs)
        name = f"{began:%Y%m%dT%H%M%S%f}-{manifest.seal[:8]}.json"
        place.put(f"records/{manifest.kind}/{of}/{name}", record.model_dump_json().encode())
    except (StoreError, UserError, OSError, ValidationError) as error:
        log.warning("%s: done, but the run's report will lack it: %s", stage, error)


def _is_kept(name: str) -> bool:
    return not name.startswith(_NOT_KEPT)


def _file_key(sha256: str) -> str:
    return f"records/files/{sha256[:2]}/{sha256}"
