"""What stages hand on: a small directory whose manifest.json is written last.

No manifest, no artifact. The directory holds indexes and reports; clips, targets, checkpoints and
predictions live in the store under content keys that the indexes name.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from geovr import __version__
from geovr.config import canonical_json, digest
from geovr.errors import UserError
from geovr.storage import Store, localise, sha256_file, write_atomic

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
Kind = Literal["ClipSet", "TargetSet", "GateReport", "Checkpoint", "EvalReport", "ModelVersion"]


@functools.cache
def git_sha() -> str:
    """The commit of the code that runs, `-dirty` when changed.

    Outside a checkout GEOVR_GIT_SHA tells it, which images have; without that it is `unknown`.
    """
    root = Path(__file__).parent
    try:
        sha = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        told = os.environ.get("GEOVR_GIT_SHA", "")
        return told if re.fullmatch(r"[0-9a-f]{40}(-dirty)?", told) else "unknown"
    return f"{sha}-dirty" if dirty else sha


class Manifest(BaseModel):
    """What an artifact is, from what it was made, and the digests that prove it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    schema_version: int = SCHEMA_VERSION
    git_sha: str
    package_version: str
    inputs: dict[str, str]
    """Name of each input artifact or source -> its content digest."""
    config: dict[str, Any]
    counts: dict[str, int]
    store: str
    """URI of the store that holds the objects the index names."""
    details: dict[str, Any]
    """What only this kind has; documented at the stage that writes it."""
    files: dict[str, str]
    """Relative path -> sha256 of each file in the directory."""
    content_digest: str
    """sha256 over what the artifact says, without paths, times and code versions."""
    seal: str = ""
    """sha256 over the other fields."""

    def sealed(self) -> Manifest:
        """The same manifest with its seal."""
        told = json.loads(self.model_dump_json(exclude={"seal"}))
        return self.model_copy(update={"seal": digest(told)})


class Artifact:
    """A directory with a verified manifest."""

    kind: Kind

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory, self.manifest = directory, manifest

    @property
    def digest(self) -> str:
        """The content digest."""
        return self.manifest.content_digest

    @property
    def store(self) -> Store:
        """The store that holds this artifact's objects."""
        return Store.open(self.manifest.store)

    @classmethod
    def load(cls, uri: str | Path) -> Self:
        """Open an artifact and verify its files.

        Raises:
            UserError: naming the file when the manifest is missing, of another kind or schema,
                or a file is not what the manifest says.
        """
        directory = localise(str(uri))
        path = directory / "manifest.json"
        if not path.is_file():
            raise UserError(
                f"{uri}: no manifest.json, so the stage that writes this {cls.kind} has not"
                " finished; run it again"
            )
        try:
            manifest = Manifest.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise UserError(
                f"{path}: not a manifest this version reads, run the stage again: {error}"
            ) from None
        if manifest.kind != cls.kind:
            raise UserError(f"{uri}: this is a {manifest.kind}, expected a {cls.kind}")
        if manifest.schema_version != SCHEMA_VERSION:
            raise UserError(
                f"{path}: schema version {manifest.schema_version}, this version reads"
                f" {SCHEMA_VERSION}; run the stage again"
            )
        if manifest != manifest.sealed():
            raise UserError(
                f"{path}: changed since it was written; run the stage that writes this"
                f" {cls.kind} again"
            )
        for name, sha256 in manifest.files.items():
            file = directory / name
            if not file.is_file() or sha256_file(file) != sha256:
                raise UserError(
                    f"{file}: missing or changed since it was written; run the"
                    f" stage that writes this {cls.kind} again"
                )
        return cls(directory, manifest)

    @classmethod
    def digest_of(cls, content: Any) -> str:
        """The content digest of an artifact that says this."""
        return digest({"kind": cls.kind, "schema": SCHEMA_VERSION, "is": content})

    @classmethod
    def commit(
        cls,
        directory: Path,
        *,
        inputs: dict[str, str],
        config: dict[str, Any],
        counts: dict[str, int],
        store: str,
        content: Any,
        details: dict[str, Any] | None = None,
    ) -> Self:
        """Turn a directory whose files are all written into an artifact.

        Args:
            directory: holds every file of the artifact already.
            inputs: name -> content digest of what it was made from.
            config: the stage's config as JSON values.
            counts: what went in, out and aside; they must add up.
            store: URI of the store.
            content: JSON value that says what the artifact says; its digest is the content digest.
            details: what only this kind has.
        """
        files = {
            path.relative_to(directory).as_posix(): sha256_file(path)
            for path in sorted(directory.rglob("*"))
            if path.is_file() and path.name != "manifest.json"
        }
        manifest = Manifest(
            kind=cls.kind,
            git_sha=git_sha(),
            package_version=__version__,
            inputs=inputs,
            config=config,
            counts=counts,
            store=store,
            details=json.loads(canonical_json(details or {})),
            files=files,
            content_digest=cls.digest_of(content),
        ).sealed()
        write_atomic(
            directory / "manifest.json", (manifest.model_dump_json(indent=2) + "\n").encode()
        )
        return cls(directory, manifest)


def start_output(directory: Path) -> Path:
    """An empty place to write an artifact to: the old manifest goes first, so that a half-written
    directory is never taken for an artifact.
    """
    (directory / "manifest.json").unlink(missing_ok=True)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


class ClipSet(Artifact):
    """Clips, their questions, and what was put aside and why (see data/clips.py)."""

    kind = "ClipSet"

    @functools.cached_property
    def index(self) -> pd.DataFrame:
        """One row a clip."""
        return _read_parquet(self.directory / "index.parquet")

    @functools.cached_property
    def questions(self) -> pd.DataFrame:
        """One row a question."""
        return _read_parquet(self.directory / "questions.parquet")

    @functools.cached_property
    def quarantine(self) -> pd.DataFrame:
        """One row per input that could not be used."""
        return _read_parquet(self.directory / "quarantine.parquet")


class TargetSet(Artifact):
    """What a teacher says about each clip (see data/targets.py)."""

    kind = "TargetSet"

    @functools.cached_property
    def index(self) -> pd.DataFrame:
        """One row a clip."""
        return _read_parquet(self.directory / "index.parquet")


class GateReport(Artifact):
    """What a gate found (see quality/)."""

    kind = "GateReport"


class Checkpoint(Artifact):
    """A trained model; details name its place in the store (see stages/train.py)."""

    kind = "Checkpoint"


class EvalReport(Artifact):
    """Scores of a checkpoint on a benchmark (see stages/evaluate.py)."""

    kind = "EvalReport"


class ModelVersion(Artifact):
    """A registered model version and the promotion decision (see stages/register.py)."""

    kind = "ModelVersion"


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(path)
