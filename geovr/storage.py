"""The store: content-keyed objects in a directory or under an s3:// prefix.

S3 is spoken in storage_s3.py. Writes are all or nothing (temporary file,
fsync, rename; one checked PUT or multipart upload on S3). Reads verify the object's sha256: on a
disk the first of a process, from S3 every one, since each brings the bytes over a network.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from geovr.errors import LostObject, StoreError, UserError
from geovr.object_cache import ObjectCache
from geovr.storage_s3 import S3Backend

__all__ = [
    "LocalBackend", "S3Backend", "Store", "StoreError", "is_s3", "localise", "sha256_bytes",
    "sha256_file", "write_atomic", "write_new",
]  # fmt: skip


log = logging.getLogger("geovr")

_TRIES = 5
"""Of a folder that is removed, empty, between its making and the first file in it."""


def is_s3(uri: str) -> bool:
    """Whether a URI names S3."""
    return uri.startswith("s3://")


def sha256_bytes(data: bytes) -> str:
    """Hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a kill at any moment leaves the old file or the new one.

    Raises:
        StoreError: naming the file when the disk doesn't take it.
    """
    with _failures_named(path):
        with _written_beside(path, data) as temporary:
            temporary.replace(path)
        _sync_directory(path.parent)


def write_new(path: Path, data: bytes) -> bool:
    """Write a file, all of it or nothing, unless there is one already; tells whether it did.

    Raises:
        StoreError: naming the file when the disk doesn't take it.
    """
    with _failures_named(path):
        with _written_beside(path, data) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError:  # a file system without links; the later of two writers wins there
                temporary.replace(path)
        _sync_directory(path.parent)
    return True


@contextmanager
def _failures_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path}: can't be written: {error.strerror or error}; make room or give access there,"
            " then run the same command again; what was there before is whole"
        ) from error


@contextmanager
def _written_beside(path: Path, data: bytes) -> Iterator[Path]:
    """A complete temporary file in the same directory, gone after the block."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with _opened(temporary) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _opened(path: Path) -> BinaryIO:
    """A new file in a folder that is made for it, also when another process is removing that."""
    for _ in range(_TRIES - 1):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return path.open("wb")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")


def _sync_directory(path: Path) -> None:
    try:
        directory = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return  # another process has removed what was written, and the folder with it
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Backend(Protocol):
    """What a place to keep objects must be able to do; keys are relative, with slashes."""

    uri: str
    readings: int
    """How often bytes of another digest are read before they are called damaged: once from a disk;
    from S3 they may have been altered on their way."""

    def write(self, key: str, data: bytes) -> None: ...
    def write_new(self, key: str, data: bytes) -> bool: ...
    def read(self, key: str) -> bytes | None: ...
    def size(self, key: str) -> int | None: ...
    def keys(self, prefix: str) -> Iterator[str]: ...
    def versions(self, prefix: str) -> Iterator[tuple[str, str]]: ...
    def remove(self, key: str) -> None: ...
    def remove_partial(self, prefix: str) -> None: ...


class LocalBackend:
    """Objects as files below a directory."""

    readings = 1

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.uri = str(self.root)

    def path(self, key: str) -> Path:
        """The file of a key.

        Raises:
            UserError: for a key that leaves the root.
        """
        path = (self.root / key).resolve()
        if not path.is_relative_to(self.root):
            raise UserError(f"{key}: the key leaves the store {self.root}")
        return path

    def write(self, key: str, data: bytes) -> None:
        write_atomic(self.path(key), data)

    def write_new(self, key: str, data: bytes) -> bool:
        return write_new(self.path(key), data)

    def read(self, key: str) -> bytes | None:
        try:
            return self.path(key).read_bytes()
        except FileNotFoundError:
            return None

    def size(self, key: str) -> int | None:
        try:
            return self.path(key).stat().st_size
        except FileNotFoundError:
            return None

    def keys(self, prefix: str) -> Iterator[str]:
        for path in self._files(prefix):
            if not path.name.endswith(".tmp"):
                yield path.relative_to(self.root).as_posix()

    def _files(self, prefix: str) -> list[Path]:
        """All files below a prefix, sorted; a folder that goes away meanwhile has none.

        Raises:
            StoreError: for a folder that can't be read.
        """

        def unread(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                raise StoreError(
                    f"{error.filename}: can't be listed: {error.strerror}; give access there"
                ) from error

        walked = os.walk(self.root / prefix, onerror=unread)
        found = (Path(folder) / name for folder, _, names in walked for name in names)
        return sorted(path for path in found if path.is_file())

    def versions(self, prefix: str) -> Iterator[tuple[str, str]]:
        for key in self.keys(prefix):
            yield key, sha256_file(self.path(key))

    def remove(self, key: str) -> None:
        path = self.path(key)
        path.unlink(missing_ok=True)
        if path.parent != self.root:
            with suppress(OSError):  # it holds others, or another process was faster
                path.parent.rmdir()

    def remove_partial(self, prefix: str) -> None:
        for path in self._files(prefix):
            if path.name.startswith(".") and path.name.endswith(".tmp"):
                self.remove(path.relative_to(self.root).as_posix())


class Store:
    """Objects by key, verified by sha256.

    `put` returns the digest that the caller keeps in an index and gives back to `get`.
    """

    def __init__(self, backend: Backend, cache: ObjectCache | None = None) -> None:
        self.backend, self.cache = backend, cache
        self._verified: set[tuple[str, str]] = set()

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which verifies for itself."""
        return self.__dict__ | {"_verified": set()}

    def cached(self, cache: ObjectCache) -> Store:
        """The same store, whose reads with a sha256 are kept on this disk, unless it is there."""
        return self if isinstance(self.backend, LocalBackend) else Store(self.backend, cache)

    @classmethod
    def open(cls, uri: str) -> Store:
        """Open a store by directory or s3:// URI; a directory is made when it is first written."""
        return cls(S3Backend(uri) if is_s3(uri) else LocalBackend(Path(uri)))

    @property
    def uri(self) -> str:
        """Absolute directory or s3:// URI."""
        return self.backend.uri

    def uri_of(self, key: str) -> str:
        """The URI under which a user finds an object."""
        return f"{self.uri}/{key}"

    def put(self, key: str, data: bytes) -> str:
        """Write an object, all or nothing; gives its sha256."""
        self.backend.write(key, data)
        return sha256_bytes(data)

    def put_new(self, key: str, data: bytes) -> bytes:
        """Write an object unless there is one already; gives the bytes that lie there now.

        Of several writers of one key the first wins, and all go on with its bytes.
        """
        return data if self.backend.write_new(key, data) else self.get(key)

    def get(self, key: str, sha256: str | None = None) -> bytes:
        """Read an object; with a sha256, verified.

        Raises:
            LostObject: when it is missing or its bytes are not those the digest names.
        """
        if sha256 is not None and self.cache is not None:
            kept = self.cache.get(sha256)
            if kept is not None:
                return kept
        data = self._read(key, sha256)
        if sha256 is not None and self.cache is not None:
            self.cache.put(sha256, data)
        return data

    def _read(self, key: str, sha256: str | None) -> bytes:
        found = ""
        for reading in range(self.backend.readings):
            data = self.backend.read(key)
            if data is None:
                raise LostObject(
                    f"{self.uri_of(key)}: no such object; run the stage that writes it again"
                )
            if sha256 is None or (key, sha256) in self._verified:
                return data
            found = sha256_bytes(data)
            if found == sha256:
                if isinstance(self.backend, LocalBackend):
                    self._verified.add((key, sha256))
                return data
            if reading + 1 < self.backend.readings:
                log.warning("%s: other bytes came than were written; read again", self.uri_of(key))
        raise LostObject(
            f"{self.uri_of(key)}: damaged: its sha256 is {found}, the index says {sha256};"
            " delete the object and run the stage that writes it again"
        )

    def exists(self, key: str) -> bool:
        """Whether an object of this key was completely written."""
        return self.backend.size(key) is not None

    def size(self, key: str) -> int | None:
        """Bytes of an object, None when there is none."""
        return self.backend.size(key)

    def keys(self, prefix: str) -> list[str]:
        """All keys below a prefix, sorted."""
        return sorted(self.backend.keys(prefix))

    def versions(self, prefix: str) -> list[tuple[str, str]]:
        """All keys below a prefix, sorted, each with what changes when its content does.

        On S3 that is size and ETag, which a listing tells; on this disk each file is read.
        """
        return sorted(self.backend.versions(prefix))

    def remove(self, key: str) -> None:
        """Delete an object; a missing one is fine."""
        self.backend.remove(key)

    def remove_partial(self, prefix: str) -> None:
        """Delete what writers that were killed left below a prefix that has no writer now."""
        self.backend.remove_partial(prefix)

    def put_directory(self, prefix: str, directory: Path) -> dict[str, str]:
        """Write every file of a directory; gives relative path -> sha256."""
        return {
            path.relative_to(directory).as_posix(): self.put(
                f"{prefix}/{path.relative_to(directory).as_posix()}", path.read_bytes()
            )
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        }

    def get_directory(self, prefix: str, files: dict[str, str], directory: Path) -> Path:
        """Bring the named files to a local directory, verified; a local store is used in place."""
        if isinstance(self.backend, LocalBackend):
            for name, sha256 in files.items():
                self.get(f"{prefix}/{name}", sha256)
            return self.backend.path(prefix)
        for name, sha256 in files.items():
            write_atomic(directory / name, self.get(f"{prefix}/{name}", sha256))
        return directory


def localise(uri: str, directory: Path | None = None) -> Path:
    """A local path with the content of a local or s3:// directory.

    Raises:
        UserError: when nothing is there.
    """
    if not is_s3(uri):
        path = Path(uri)
        if not path.exists():
            raise UserError(f"{uri}: no such file or directory")
        return path
    target = directory or Path(tempfile.mkdtemp(prefix="geovr-"))
    store = Store.open(uri)
    keys = store.keys("")
    if not keys:
        raise UserError(f"{uri}: nothing is stored under this prefix")
    for key in keys:
        write_atomic(target / key, store.get(key))
    return target
