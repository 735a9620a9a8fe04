"""geovr-benchmark.json: what a directory held when it was fetched, which `verify` compares with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, ValidationError

from geovr.config import Config, digest
from geovr.errors import UserError
from geovr.progress import progress
from geovr.storage import sha256_file, write_atomic

LOCK = "geovr-benchmark.json"


class FileRecord(Config):
    """One file."""

    sha256: str
    bytes: int


class Lock(Config):
    """What was fetched.

    Attributes:
        schema_version: of this file.
        name: in the table.
        repo: of the hub.
        revision: full commit hash; None for a directory that was recorded but not fetched.
        count: of questions.
        ids_sha256: digest of their ids in order.
        files: relative name -> digest and size, of every file.
    """

    schema_version: int = Field(1, ge=1, le=1)
    name: str
    repo: str
    revision: str | None
    count: int
    ids_sha256: str
    files: dict[str, FileRecord]


def ids_digest(ids: list[str]) -> str:
    """Digest of ids in their order."""
    return digest(ids)


def read_lock(directory: Path) -> Lock | None:
    """The record of a directory, None when there is none.

    Raises:
        UserError: when it is damaged.
    """
    path = directory / LOCK
    if not path.is_file():
        return None
    try:
        return Lock.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise UserError(f"{path}: damaged ({type(error).__name__}); fetch it again") from None


def write_lock(directory: Path, lock: Lock) -> None:
    """Write the record, all of it or nothing."""
    write_atomic(directory / LOCK, (lock.model_dump_json(indent=1) + "\n").encode())


def files_of(directory: Path) -> Iterator[str]:
    """Relative names of a directory's files, without hidden ones and the record."""
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            relative = (Path(folder) / name).relative_to(directory).as_posix()
            if not name.startswith(".") and relative != LOCK:
                yield relative


def hash_files(directory: Path, names: list[str]) -> dict[str, FileRecord]:
    """Digest and size of files, with a bar."""
    found = {}
    with progress("sha256", len(names), "files") as bar:
        for name in names:
            path = directory / name
            found[name] = FileRecord(sha256=sha256_file(path), bytes=path.stat().st_size)
            bar.advance()
    return found
