"""Whether a video file was cut off, from the sizes that its outermost boxes announce.

A copy or a download that broke off often still opens, and would pass for a shorter video.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_BOXES = (b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"styp", b"sidx", b"mfra")


def announced_size(path: Path) -> int | None:
    """Bytes that a Matroska or ISO (mp4, mov) file says it has; None where it doesn't say."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) == _EBML:
            return _matroska(file)
        return _iso(file, size)


def _iso(file: BinaryIO, size: int) -> int | None:
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(16)
        if header[4:8] not in _BOXES:
            return None
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:
            return None  # 0: up to the end of the file
        at += length
    return at


def _matroska(file: BinaryIO) -> int | None:
    length = _variable(file)
    if length is None:
        return None
    file.seek(length, 1)
    if file.read(4) != _SEGMENT:
        return None
    length = _variable(file)
    return None if length is None else file.tell() + length


def _variable(file: BinaryIO) -> int | None:
    """A size whose leading zero bits tell its length; all ones mean that it is unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    bits = 7 * (more + 1)
    value = int.from_bytes(first + file.read(more), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
