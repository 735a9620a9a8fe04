"""Unpacking the archives of a data set, which come from strangers, into a directory.

Only regular files with the suffix of a video, an image or a table are written; each is complete
under another name before it gets its own, so that a kill leaves no half video behind.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from geovr.archives import DATA_SET, Archive, Limits, Refused, member_name
from geovr.errors import UserError
from geovr.progress import progress

WANTED = (
    ".mp4", ".mkv", ".avi", ".mov", ".webm", ".jpg", ".jpeg", ".png", ".json", ".jsonl",
    ".parquet", ".tsv", ".csv", ".txt",
)  # fmt: skip
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
_PIECE_BYTES = 1 << 20


def is_archive(name: str) -> bool:
    """Whether `unpack` reads files of this name."""
    return name.endswith(ARCHIVES)


def unpack(path: Path, directory: Path, limits: Limits = DATA_SET) -> list[str]:
    """Unpack an archive's videos, images and tables.

    Args:
        path: a .zip, .tar or .tar.gz file.
        directory: where its members go, under their own relative names.
        limits: what the archive may be.

    Returns:
        relative names of what was written, sorted.

    Raises:
        UserError: for an archive that is damaged, leads out of the directory, is out of all
            proportion, or finds no room; nothing of it is then in place.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=directory) as scratch:
        members = _zip if path.name.endswith(".zip") else _tar
        names = sorted(members(path, Path(scratch), limits))
        for name in names:
            target = directory / name
            _refuse_link(path, target, directory)
            target.parent.mkdir(parents=True, exist_ok=True)
            (Path(scratch) / name).replace(target)
    return names


def _refuse_link(path: Path, target: Path, directory: Path) -> None:
    """A link that lies in the directory already must not lead a member out of it."""
    parent = Path(os.path.realpath(target.parent))
    if not parent.is_relative_to(os.path.realpath(directory)):
        raise UserError(f"{path}: {target.parent} is a link to elsewhere; take it away, then retry")


def _wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return not hidden and name.lower().endswith(WANTED)


def _refusal(path: Path, what: str, limits: Limits) -> UserError:
    return UserError(f"{path}: {what}; {limits.remedy}")


def _room(path: Path, scratch: Path, needed: int) -> None:
    free = shutil.disk_usage(scratch).free
    if needed > free:
        raise UserError(
            f"{path}: unpacks to {needed >> 20} MiB, but {scratch.parent} has {free >> 20} MiB"
            " free; make room, then run the same command again"
        )


def _zip(path: Path, scratch: Path, limits: Limits) -> Iterator[str]:
    with Archive(path, limits) as archive:
        sizes = {name: size for name, size in archive.sizes().items() if _wanted(name)}
        _room(path, scratch, sum(sizes.values()))
        with progress(f"unpack {path.name}", len(sizes), "files") as bar:
            for stored in sizes:
                name = member_name("", stored)
                assert name is not None, "the archive was opened, so its names were checked"
                with _new_file(path, scratch, name, limits) as target:
                    try:
                        archive.copy(stored, target)
                    except Refused as error:
                        raise _refusal(path, str(error), limits) from None
                yield name
                bar.advance()


def _tar(path: Path, scratch: Path, limits: Limits) -> Iterator[str]:
    packed, unpacked, count = path.stat().st_size, 0, 0
    try:
        with (
            tarfile.open(path, "r|*") as archive,
            progress(f"unpack {path.name}", packed >> 20, "MiB") as bar,
        ):
            for member in archive:
                count, unpacked = count + 1, unpacked + member.size
                name = member_name("", member.name)
                if name is None:
                    raise _refusal(path, f"member {member.name!r} leads out of it", limits)
                if count > limits.members or unpacked > limits.unpacked_bytes:
                    raise _refusal(path, "unpacks to far more than a data set holds", limits)
                if unpacked > limits.small_bytes and unpacked > limits.ratio * packed:
                    raise _refusal(
                        path, f"unpacks to over {limits.ratio:.0f} times its size", limits
                    )
                if not member.isfile() or not _wanted(name):
                    continue  # links and devices have no place in a data set either
                _room(path, scratch, member.size)
                source = archive.extractfile(member)
                assert source is not None, "a regular file has content"
                with _new_file(path, scratch, name, limits) as target:
                    _copy(source, target)
                yield name
                bar.advance(max(0, min(packed >> 20, unpacked >> 20) - bar.done))
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise _refusal(path, f"no sound tar archive ({error})", limits) from None


@contextmanager
def _new_file(path: Path, scratch: Path, name: str, limits: Limits) -> Iterator[BinaryIO]:
    """A file to be written in full; a name that the archive gives twice is refused."""
    target = scratch / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise _refusal(path, f"holds {name!r} twice, or as file and folder", limits) from None


def _copy(source: IO[bytes], target: BinaryIO) -> None:
    while piece := source.read(_PIECE_BYTES):
        target.write(piece)
