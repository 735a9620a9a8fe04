"""A run again: its parameters and command, and whether the same came out."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from geovr import records
from geovr.artifacts import git_sha
from geovr.config import digest, validate
from geovr.errors import UserError
from geovr.stages import STAGES
from geovr.storage import Store, is_s3, write_atomic
from geovr.storage_dvc import dvc_pointer
from pipelines.recorded import Recorded

SUFFIX = "-reproduced"
"""After the names of experiment and model: nothing of the run itself is written to."""
OTHERWISE_NAMED = "not compared: registered under another name"


@dataclass(frozen=True)
class Reproduction:
    """What is to be run.

    Attributes:
        directory: of its own.
        store: URI of the store that it computes into, where nothing is yet.
        command: arguments of `python -m pipelines`.
        waits: whether the command ends when the run does.
        images: stage -> image by digest, of what ran in images.
        variables: of the command, which has a tracking database of its own in the directory (a
            server takes no version from this machine's disk); equal bytes are promised for an
            equal number of threads.
    """

    directory: Path
    store: str
    command: tuple[str, ...]
    waits: bool
    images: dict[str, str]
    variables: dict[str, str]


def prepare(run: Recorded, directory: Path, into: str | None = None) -> Reproduction:
    """Write params.yaml of the seven sections, and choose the command.

    Args:
        run: what is to be done again.
        directory: to write to.
        into: URI of the store to compute into, by default one in the directory; on a cluster, one
            beside the run's own.

    Raises:
        UserError: when a recorded section is not one that this version reads, or nothing that both
            the cluster and this machine can reach can be computed into.
    """
    cluster = _on_cluster(run)
    recorded = run.steps["train"].manifest.store
    if into is None and cluster:
        if not is_s3(recorded):
            raise UserError(
                f"{run.name}: it ran on a cluster with its store in {recorded}, so a fresh store"
                " has to be named that the cluster reaches: --into s3://BUCKET/PREFIX"
            )
        into = f"{recorded.rstrip('/')}{SUFFIX}/{run.digest[:12]}"
    store = into or str(directory / "store")
    params = directory / "params.yaml"
    write_atomic(params, _yaml(run, store).encode())
    images = _images(run)
    given = ("--params", str(params))
    if cluster:
        listed = directory / "images.json"
        write_atomic(listed, (json.dumps(images, indent=2, sort_keys=True) + "\n").encode())
        name = f"reproduce-{run.digest[:12]}"
        command: tuple[str, ...] = ("submit", *given, "--images", str(listed), "--name", name)
    elif "default" in images:
        command = ("run", "--docker", "--image", images["default"], *given)
    else:
        command = ("run", "--local", *given)
    if not cluster:
        command += ("--root", str(directory / "kfp"))
    around = run.steps["train"].surroundings
    variables: dict[str, str] = {}
    if not cluster:
        variables |= {"GEOVR_HOME": str(directory), "MLFLOW_TRACKING_URI": ""}
    if around is not None and around.threads is not None and not images:
        variables["OMP_NUM_THREADS"] = around.threads
    return Reproduction(directory, store, command, not cluster, images, variables)


def _on_cluster(run: Recorded) -> bool:
    around = [record.surroundings for record in run.steps.values()]
    return any(one is not None and one.cluster for one in around)


def _yaml(run: Recorded, store: str) -> str:
    sections = {stage.name: _section(run, stage.name) for stage in STAGES}
    experiment = str(run.steps["train"].manifest.config["experiment"]) + SUFFIX
    values: dict[str, Any] = {"store": store, "experiment": experiment, **sections}
    for stage in STAGES:  # a typing error of another version is told before anything runs
        shared = {"store": store, "experiment": experiment}
        validate(
            stage.config_class(),
            shared | sections[stage.name],
            source=f"{run.name}, record of {stage.name}",
        )
    return f"# {run.name}, Checkpoint {run.digest}\n{yaml.safe_dump(values, sort_keys=False)}"


def _section(run: Recorded, stage: str) -> dict[str, Any]:
    """A stage's recorded config, with the data's commit and names of its own."""
    record = run.steps.get(stage)
    config = dict(record.manifest.config) if record else {}
    for key in ("store", "experiment", "parent_run"):
        config.pop(key, None)
    if stage == "ingest" and run.data.get("rev"):
        config["dvc"] = {**config["dvc"], "rev": run.data["rev"]}
    if stage == "register":
        config["model_name"] = config.get("model_name", "geovr") + SUFFIX
    return config


def _images(run: Recorded) -> dict[str, str]:
    """As the file for `--images` has it, of the stages that ran in images."""
    found: dict[str, str] = {}
    for stage, record in run.steps.items():
        image = record.surroundings.image if record.surroundings else None
        launch = record.manifest.config.get("launch") or {}
        if image is None:
            continue
        if launch.get("scheduler") in ("local_docker", "kubernetes"):
            found[f"launch.{stage}"] = image
        else:
            found[stage] = image
    if "ingest" in found:
        found["default"] = found["ingest"]
    return {name: i for name, i in found.items() if name == "default" or i != found.get("default")}


def other_code(run: Recorded, images: dict[str, str]) -> list[str]:
    """Why the code here is not the run's, in words; nothing where it is, or an image holds it."""
    if "default" in images:
        return []
    here, faults = git_sha(), []
    for sha in sorted({record.manifest.git_sha for record in run.steps.values()}):
        stages = ", ".join(s for s, r in run.steps.items() if r.manifest.git_sha == sha)
        if sha.removesuffix("-dirty") != here.removesuffix("-dirty"):
            commit = sha.removesuffix("-dirty")
            faults.append(
                f"{stages} ran at {sha}, this checkout is at {here}: git checkout {commit}"
            )
        elif sha == "unknown":
            faults.append(f"{stages}: the commit of the code is not known, neither then nor now")
        if sha.endswith("-dirty"):
            faults.append(f"{stages}: the code had changes that were not committed")
    if here.endswith("-dirty"):
        faults.append("this checkout has changes that are not committed: git stash, or commit them")
    return faults


def other_surroundings(run: Recorded, images: dict[str, str]) -> list[str]:
    """What else is not as it was, in words: base model, data, packages, processor.

    Raises:
        UserError: when the base model is not there.
    """
    from geovr.stages.train import directory_digest

    if images:
        return []  # packages are the image's, and base models lie where its containers run
    notes = []
    base = Path(str(run.steps["train"].manifest.config["base_model"]))
    if directory_digest(base) != run.steps["train"].manifest.inputs["base_model"]:
        notes.append(f"train.base_model: {base} holds other files than it did")
    videos = run.steps["ingest"].manifest.config.get("videos")
    if run.data and not run.data.get("rev") and videos:
        now = (dvc_pointer(Path(str(videos)).resolve()) or {}).get("md5")
        if now != run.data["md5"]:
            notes.append(f"ingest.videos: DVC's md5 was {run.data['md5']}, now it is {now}")
    around = run.steps["train"].surroundings
    if around is None:
        return [*notes, "packages, processor and threads of the run are not recorded"]
    for name, version in around.packages.items():
        try:
            now = metadata.version(name)
        except metadata.PackageNotFoundError:
            now = None
        if now != version:
            notes.append(f"{name} was {version}, here it is {now or 'missing'}")
    for what, then, now in (
        ("Python", around.python, platform.python_version()),
        ("the processor", around.machine, platform.machine()),
    ):
        if then != now:
            notes.append(f"{what} was {then}, here it is {now}")
    return notes


@dataclass(frozen=True)
class Compared:
    """One stage's outcome beside the recorded one; None for what isn't there."""

    stage: str
    then: str | None
    now: str | None
    told: str

    @property
    def different(self) -> bool:
        """Whether both are there, and not the same."""
        return self.told == "different"


def compare(run: Recorded, store: str) -> list[Compared]:
    """What the stages made into a reproduction's store, beside what they made before."""
    made = newest(store)
    rows = []
    for stage in STAGES:
        then = run.steps[stage.name].manifest.content_digest if stage.name in run.steps else None
        now = made.get(stage.name)
        if now is None:
            told = "not run"
        elif stage.name == "register":
            told = OTHERWISE_NAMED
        elif then is None:
            told = "not recorded"
        else:
            told = "equal" if then == now else "different"
        rows.append(Compared(stage.name, then, now, told))
    return rows


def newest(store: str) -> dict[str, str]:
    """Stage -> content digest of what it made last in a store that one run computes into."""
    place = Store.open(store)
    found = [records.Record.model_validate_json(place.get(key)) for key in _keys(place)]
    found.sort(key=lambda record: record.began)
    return {record.stage: record.manifest.content_digest for record in found}


def _keys(place: Store) -> list[str]:
    return [key for key in place.keys("records") if not key.startswith("records/files/")]


def config_digest(run: Recorded, stage: str) -> str:
    """Digest of a stage's recorded config."""
    return digest(run.steps[stage].manifest.config)
