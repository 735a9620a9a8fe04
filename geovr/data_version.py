"""Which version of the data an artifact was made from, as DVC tells it.

A ClipSet's manifest has it under details: repo, rev (the commit), path and md5 of what ingest got
by DVC; path and md5 of a local folder that DVC tracks. All that is made from the ClipSet carries it
on, to the tags of MLflow's runs and of the model version.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geovr.artifacts import Artifact, ClipSet
from geovr.config import digest
from geovr.errors import UserError
from geovr.home import home
from geovr.storage import is_s3
from geovr.storage_dvc import dvc_version, fetch_dvc

NAMES = ("repo", "rev", "path", "md5")
_SCHEME = "dvc:"
"""Before a path that lies below the one which the clips' data came from."""


def of(artifact: Artifact) -> dict[str, Any] | None:
    """The version of an artifact's data; None where DVC doesn't know them."""
    found: dict[str, Any] | None = artifact.manifest.details.get("dvc")
    return found


def tags(version: Mapping[str, Any] | None) -> dict[str, str]:
    """Tags geovr.data.repo, .rev, .path and .md5: those that are known."""
    told = version or {}
    return {f"geovr.data.{name}": str(told[name]) for name in NAMES if told.get(name)}


def fetch(repo: str, rev: str | None, path: str, store: str) -> tuple[Path, dict[str, Any]]:
    """Bring data from DVC to this machine's cache: the place, and their version.

    Args:
        repo: directory or git URL.
        rev: branch, tag or commit; the newest commit when None.
        path: of the data.
        store: URI of the stage's store, which holds the cache when it is a directory.

    Raises:
        UserError: with DVC's own last line when it can't.
    """
    md5, commit = dvc_version(repo, rev, path)
    place = _cached(repo, commit or None, path, store)
    # fetched anew each time: what is said of the data must be true of the bytes that are read
    fetch_dvc(repo, commit or None, path, place)
    whole = None if md5 == commit else md5
    return place, {"repo": repo, "rev": commit or None, "path": path, "md5": whole}


def beside(setting: str, place: str, clips: ClipSet) -> str:
    """A setting's directory or s3:// prefix; `dvc:PATH` is PATH beside the clips' videos.

    It lies below the path that ingest got by DVC and is of the same commit, whatever branch or tag
    was asked for, so that it can't be of another version than the clips.

    Args:
        setting: key of the setting, for messages.
        place: its value.
        clips: that it belongs to.

    Raises:
        UserError: when the clips' data came by no commit of DVC, or lack the path.
    """
    if not place.startswith(_SCHEME):
        return place
    below, version = place.removeprefix(_SCHEME).strip("/"), of(clips) or {}
    if not version.get("rev"):
        raise UserError(
            f"{setting}: {place}: the clips' data came by no commit of a DVC repository"
            " (ingest.dvc), so nothing lies beside them there; give a directory"
        )
    repo, rev, path = str(version["repo"]), str(version["rev"]), str(version["path"])
    store = clips.manifest.store
    fetched = _cached(repo, rev, path, store) / below
    if fetched.exists():
        return str(fetched)
    there = f"{path.rstrip('/')}/{below}"
    target = _cached(repo, rev, there, store)
    return str(target if target.exists() else fetch_dvc(repo, rev, there, target))


def _cached(repo: str, rev: str | None, path: str, store: str) -> Path:
    place = home() / "cache/dvc" if is_s3(store) else Path(store) / "cache/dvc"
    return place / digest({"repo": repo, "rev": rev, "path": path})[:16]
