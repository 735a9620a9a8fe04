"""Getting a benchmark or training set from its hub; only the command does it, never a reader.

The token comes from HF_TOKEN and is told to nobody but the hub.
"""

from __future__ import annotations

import fnmatch
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from geovr.errors import UserError
from geovr.evaluation.benchmarks.lock import Lock, files_of, write_lock
from geovr.evaluation.benchmarks.table import Source
from geovr.evaluation.benchmarks.verify import record, verify
from geovr.storage import sha256_file, write_atomic
from geovr.unpack import is_archive, unpack

log = logging.getLogger("geovr")
_UNPACKED = ".geovr-unpacked"
"""Folder of notes of which archives are done: of a hundred gigabytes, that is hours saved."""


def terms(source: Source) -> str:
    """What is shown before a byte is fetched."""
    pinned = source.revision or f"the newest, which is then recorded ({source.unpinned})"
    lines = [
        f"{source.title} ({source.citation})",
        f"from     {source.repo} (a data set of the hub)",
        f"revision {pinned}",
        f"licence  {source.licence}",
    ]
    return "\n".join([*lines, *([f"terms    {source.terms}"] if source.terms else [])])


def fetch(source: Source, directory: Path, accepted: Callable[[], bool]) -> Lock:
    """Download, unpack, check and record.

    Args:
        source: what.
        directory: where to; what lies there of an earlier try is not downloaded again.
        accepted: whether the user takes the licence; asked before anything is fetched.

    Raises:
        UserError: when the licence is not accepted, the hub can't be reached or refuses, or what
            came is not what the table says.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        raise UserError(
            "HF_HUB_OFFLINE is set, which forbids to fetch anything; run it as HF_HUB_OFFLINE=0"
            f" geovr .. fetch {source.name}, or copy the files by hand and use verify --record"
        )
    if not accepted():
        raise UserError(
            f"{source.name}: its licence was not accepted, so nothing was fetched; read it and add"
            " --accept-licence"
        )
    directory.mkdir(parents=True, exist_ok=True)
    revision = _download(source, directory)
    for name, sha256 in source.sha256.items():
        path = directory / name
        if path.is_file() and sha256_file(path) != sha256:
            raise UserError(f"{path}: its sha256 is not {sha256}; delete it and fetch it again")
    for name in [name for name in files_of(directory) if is_archive(name)]:
        if any(fnmatch.fnmatch(name, pattern) for pattern in source.fetch):
            _unpack(directory, name)
    lock = record(source, directory, revision)
    write_lock(directory, lock)
    verdict = verify(source, directory, quick=True)
    if verdict.problems:
        raise UserError(f"{directory}: fetched, but not whole:\n  " + "\n  ".join(verdict.problems))
    return lock


def _unpack(directory: Path, name: str) -> None:
    """Unpack an archive, unless an earlier run did and all that it wrote is still there."""
    done = directory / _UNPACKED / f"{name}.json"
    size = (directory / name).stat().st_size
    if done.is_file():
        told = json.loads(done.read_bytes())
        if told["bytes"] == size and all((directory / one).is_file() for one in told["names"]):
            return
    log.info("unpack %s", name)
    names = unpack(directory / name, directory)
    write_atomic(done, json.dumps({"bytes": size, "names": names}).encode())


def _download(source: Source, directory: Path) -> str:
    """Get the files; gives the full hash of the revision that they are of."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    # False: a token that lies in some cache is not used behind the user's back
    token: Any = os.environ.get("HF_TOKEN") or False
    api = HfApi(token=token)
    try:
        told = api.dataset_info(source.repo, revision=source.revision)
        revision = str(told.sha)
        if source.revision is not None and revision != source.revision:
            raise UserError(f"{source.repo}: the hub gives {revision} for {source.revision}; retry")
        api.snapshot_download(
            source.repo,
            repo_type="dataset",
            revision=revision,
            allow_patterns=list(source.fetch),
            local_dir=directory,
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        what = f"{type(error).__name__}{f', HTTP {status}' if status else ''}"
        raise UserError(
            f"{source.repo}@{source.revision or 'newest'}: can't be fetched ({what}); check the"
            " network, and for a gated data set accept its terms on the hub's page and put a token"
            " into HF_TOKEN; the same command goes on from what has come"
        ) from None
    return revision
