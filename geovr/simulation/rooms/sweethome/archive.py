"""Reading a .sh3f file, which is a zip archive of unknown origin.

Nothing is extracted: members are read into memory one at a time, each within a limit, and a name
in an archive or in a model never becomes a path on this machine.
"""

from __future__ import annotations

import posixpath
import struct
import zipfile
import zlib
from pathlib import Path
from types import TracebackType

from geovr.errors import UserError

MOST_ARCHIVE_BYTES = 1 << 30
MOST_DIRECTORY_BYTES = 16 << 20
"""Of the list of members, which a zip reader holds in memory many times its size."""
MOST_MEMBERS = 50_000
MOST_UNPACKED_BYTES = 2 << 30
"""Of all members of an archive together."""
MOST_RATIO, SMALL_BYTES = 200.0, 1 << 20
"""Unpacked to packed bytes of a member, and the unpacked size from which this is looked at: text
and pictures stay far below it, a bomb lives by exceeding it."""


class Refused(Exception):
    """One member or model can't be used; the message says why and goes into the summary."""


class Archive:
    """The members of one .sh3f file, read on demand.

    Raises:
        UserError: for a file that is no sound zip archive, or one made to do harm; it names the
            file and, where there is one, the member.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.stat().st_size > MOST_ARCHIVE_BYTES:
                raise self._damage(f"larger than {MOST_ARCHIVE_BYTES >> 20} MiB")
            if _directory_bytes(path) > MOST_DIRECTORY_BYTES:
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
        if len(members) > MOST_MEMBERS:
            raise self._damage(f"{len(members)} members, more than {MOST_MEMBERS}")
        if sum(info.file_size for info in members) > MOST_UNPACKED_BYTES:
            raise self._damage(f"unpacks to more than {MOST_UNPACKED_BYTES >> 20} MiB")
        for info in members:
            name = info.filename
            if member_name("", name) is None:
                raise self._damage(f"member {name!r} leads out of the archive")
            ratio = info.file_size / max(info.compress_size, 1)
            if info.file_size > SMALL_BYTES and ratio > MOST_RATIO:
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
                return file.read()
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError):
            raise Refused(f"{name} is damaged") from None

    def _damage(self, what: str) -> UserError:
        return UserError(
            f"{self.path}: {what}; it is no furniture library to be trusted: take it out of the "
            "--furniture directory, or download it again"
        )


def _directory_bytes(path: Path) -> int:
    """Bytes of a zip archive's directory as its last record states; 0 if there is none.

    The extension for archives of over 4 GiB, which no library is, counts as endless.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16) - 42))
        tail = file.read()
    at = len(tail) - 22 if tail[-22:-18] == b"PK\5\6" else tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < 22:
        return 0
    if tail[max(at - 20, 0) :].startswith(b"PK\6\7"):
        return 1 << 62
    (size,) = struct.unpack_from("<I", tail, at + 12)
    return int(size)


def member_name(directory: str, reference: str) -> str | None:
    """The member that a reference in a file of `directory` means; None if it leads out.

    Backslashes count as slashes, as the programs that wrote such files had it.
    """
    name = posixpath.normpath(posixpath.join(directory, reference.replace("\\", "/")))
    outside = name.startswith(("/", "../")) or name == ".."
    return None if outside or reference[1:2] == ":" or "\0" in name else name
