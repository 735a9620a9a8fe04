"""Reading a zip archive of unknown origin: a furniture library, or the videos of a data set.

Members are read one at a time, each within a limit. Here a name in an archive never becomes a path
on this machine; geovr/unpack.py, which does write members to files, asks `member_name` first.
"""

from __future__ import annotations

import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from geovr.errors import UserError


@dataclass(frozen=True)
class Limits:
    """What an archive may be.

    Attributes:
        archive_bytes: of the file.
        directory_bytes: of the list of members, which a zip reader holds in memory many times its
            size.
        members: how many.
        unpacked_bytes: of all members together.
        ratio: unpacked to packed bytes of a member of over `small_bytes`: text and pictures stay
            far below it, a bomb lives by exceeding it.
        small_bytes: unpacked size from which the ratio is looked at.
        large: whether the extension for archives of over 4 GiB may be used.
        remedy: what a refusal tells the user.
    """

    archive_bytes: int
    directory_bytes: int
    members: int
    unpacked_bytes: int
    remedy: str
    ratio: float = 200.0
    small_bytes: int = 1 << 20
    large: bool = False


LIBRARY = Limits(
    archive_bytes=1 << 30,
    directory_bytes=16 << 20,
    members=50_000,
    unpacked_bytes=2 << 30,
    remedy="it is no furniture library to be trusted: take it out of the --furniture directory, or"
    " download it again",
)
DATA_SET = Limits(
    archive_bytes=1 << 38,
    directory_bytes=512 << 20,
    members=2_000_000,
    unpacked_bytes=1 << 39,
    large=True,
    remedy="it is not unpacked: delete it and fetch the data again",
)


_PIECE_BYTES = 1 << 20
_ENDLESS = 1 << 62


class Refused(Exception):
    """One member or model can't be used; the message says why and goes into the summary."""


class Archive:
    """The members of one zip file, read on demand.

    Raises:
        UserError: for a file that is no sound zip archive, or one made to do harm; it names the
            file and, where there is one, the member.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self.path, self.limits = path, limits or LIBRARY
        try:
            if path.stat().st_size > self.limits.archive_bytes:
                raise self._damage(f"larger than {self.limits.archive_bytes >> 20} MiB")
            if _directory_bytes(path, self.limits.large) > self.limits.directory_bytes:
                raise self._damage("a list of members that is far too long")
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise self._damage(f"no sound zip archive ({error})") from None
        except OSError as error:
            raise self._damage(f"can't be read: {error.strerror}") from None
        try:
            self._members = self._checked()
        except UserError:
            self._zip.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._zip.close()

    def _checked(self) -> dict[str, zipfile.ZipInfo]:
        members = [info for info in self._zip.infolist() if not info.is_dir()]
        limits = self.limits
        if len(members) > limits.members:
            raise self._damage(f"{len(members)} members, more than {limits.members}")
        if sum(info.file_size for info in members) > limits.unpacked_bytes:
            raise self._damage(f"unpacks to more than {limits.unpacked_bytes >> 20} MiB")
        for info in members:
            name = info.filename
            if member_name("", name) is None:
                raise self._damage(f"member {name!r} leads out of the archive")
            ratio = info.file_size / max(info.compress_size, 1)
            if info.file_size > limits.small_bytes and ratio > limits.ratio:
                raise self._damage(f"member {name!r} unpacks to {ratio:.0f} times its size")
        return {info.filename: info for info in members}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str, most_bytes: int) -> bytes:
        """The bytes of a member, whose checksum is checked.

        Raises:
            Refused: when it is missing, larger than `most_bytes`, encrypted, packed in a way that
                these files don't use, or damaged.
        """
        return b"".join(self._pieces(name, most_bytes))

    def copy(self, name: str, target: BinaryIO) -> None:
        """Write a member to an open file, piece by piece.

        Raises:
            Refused: as `read` does; what was written till then is worth nothing.
        """
        for piece in self._pieces(name, self.limits.unpacked_bytes):
            target.write(piece)

    def sizes(self) -> dict[str, int]:
        """Unpacked bytes of each member, as the directory states them."""
        return {name: info.file_size for name, info in self._members.items()}

    def _pieces(self, name: str, most_bytes: int) -> Iterator[bytes]:
        info = self._members.get(name)
        if info is None:
            raise Refused(f"{name} is not in the archive")
        if info.file_size > most_bytes:
            raise Refused(f"{name} has {info.file_size} bytes, more than {most_bytes}")
        if info.flag_bits & 1 or info.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise Refused(f"{name} is encrypted or packed by an unusual method")
        try:
            # never more than the size that the directory states, whatever the member holds
            with self._zip.open(info) as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError):
            raise Refused(f"{name} is damaged") from None

    def _damage(self, what: str) -> UserError:
        return UserError(f"{self.path}: {what}; {self.limits.remedy}")


def _directory_bytes(path: Path, large: bool) -> int:
    """Bytes of a zip archive's directory as its last record states; 0 if there is none.

    The extension for archives of over 4 GiB counts as endless where it is not expected.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16) - 42))
        tail = file.read()
    at = len(tail) - 22 if tail[-22:-18] == b"PK\5\6" else tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < 22:
        return 0
    if tail[max(at - 20, 0) :].startswith(b"PK\6\7"):
        return _large_directory_bytes(path, tail[at - 20 : at]) if large else _ENDLESS
    (size,) = struct.unpack_from("<I", tail, at + 12)
    return int(size)


def _large_directory_bytes(path: Path, locator: bytes) -> int:
    """The same of an archive of over 4 GiB, whose record a locator of 20 bytes points to."""
    (offset,) = struct.unpack_from("<Q", locator, 8)
    with path.open("rb") as file:
        file.seek(min(offset, path.stat().st_size))
        record = file.read(56)
    if len(record) < 56 or record[:4] != b"PK\6\6":
        return _ENDLESS
    (size,) = struct.unpack_from("<Q", record, 40)
    return int(size)


def member_name(directory: str, reference: str) -> str | None:
    """The member that a reference in a file of `directory` means; None if it leads out.

    Backslashes count as slashes, as the programs that wrote such files had it.
    """
    name = posixpath.normpath(posixpath.join(directory, reference.replace("\\", "/")))
    outside = name.startswith(("/", "../")) or name == ".."
    return None if outside or reference[1:2] == ":" or "\0" in name else name
