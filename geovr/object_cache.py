"""Objects of a distant store on this machine's disk, shared by its processes, within a bound.

A file is named for the sha256 of its bytes, so it is never stale; it is compared with its name at
every read, so it is never damaged without notice, and needs no fsync. The files used longest ago
leave first.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import TextIO

log = logging.getLogger("geovr")

_LEFT = 0.9
"""Share of the bound that stays when files must leave, so that not every write looks at all."""


class ObjectCache:
    """Bytes by their sha256 below a directory; any number of processes use it at once.

    Args:
        directory: made when first written.
        bound: most bytes that stay.
    """

    def __init__(self, directory: Path, bound: int) -> None:
        self.directory, self.bound = directory.resolve(), bound
        self._writes = bound > 0

    def get(self, sha256: str) -> bytes | None:
        """The bytes of this digest; None when they are not here, or no longer what they were."""
        path = self._path(sha256)
        try:
            data = path.read_bytes()
            os.utime(path)  # access times are rounded or off on most file systems
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
        log.warning("%s: damaged on this disk; removed, and fetched from the store again", path)
        path.unlink(missing_ok=True)
        return None

    def put(self, sha256: str, data: bytes) -> None:
        """Keep bytes; where that fails, a warning tells so once and reading goes on without."""
        if not self._writes or len(data) > self.bound:
            return
        try:
            self._put(self._path(sha256), data)
        except OSError as error:
            self._writes = False
            log.warning(
                "%s: objects are no longer kept on this disk, and are read from the store each"
                " time: %s; free space there, or set train.disk_cache_gb: 0",
                self.directory,
                error.strerror or error,
            )

    def _path(self, sha256: str) -> Path:
        return self.directory / sha256[:2] / sha256

    def _put(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (self.directory / "size").open("a+") as counter:
            fcntl.flock(counter, fcntl.LOCK_EX)  # until the file is closed, also by SIGKILL
            if path.exists():
                return
            total = _number(counter)
            if total is None or total + len(data) > self.bound:
                total = self._make_room(len(data))
            # counted first: a kill leaves the count too high, which the next clearing mends
            counter.truncate(0)
            counter.write(str(total + len(data)))
            counter.flush()
            temporary = path.with_name(f"{path.name}.tmp")
            try:
                temporary.write_bytes(data)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    def _make_room(self, needed: int) -> int:
        """Remove the files used longest ago until others fit; gives the bytes that stay."""
        files = []
        for path in self.directory.glob("??/*"):
            if path.suffix == ".tmp":  # its writer was killed: the living hold the lock
                path.unlink(missing_ok=True)
                continue
            with suppress(FileNotFoundError):  # found damaged, just now
                told = path.stat()
                files.append((told.st_mtime_ns, told.st_size, path))
        total = sum(size for _, size, _ in files)
        if total + needed <= self.bound:
            return total
        for _, size, path in sorted(files):
            if total + needed <= self.bound * _LEFT:
                break
            path.unlink(missing_ok=True)
            total -= size
        return total


def _number(file: TextIO) -> int | None:
    """What the file says; None when it is new, or was being written when its writer died."""
    file.seek(0)
    try:
        return int(file.read())
    except ValueError:
        return None
