"""Whether a video file was cut off, from the sizes that its outermost boxes announce.

A copy or a download that broke off often still opens, and would pass for a shorter video. What
says nowhere how long it is can't be told from a whole one where it ends between two parts: a
fragmented mp4 behind a fragment, a live WebM behind a block.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_BOXES = (
    b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"styp", b"sidx", b"mfra",
    b"ssix", b"prft", b"emsg", b"pdin", b"meta", b"udta", b"uuid",
)  # fmt: skip


def announced_size(path: Path) -> int | None:
    """Bytes that a Matroska or ISO (mp4, mov) file says it has; None where it doesn't say."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) == _EBML:
            return _matroska(file)
        return _iso(file, size)


def _iso(file: BinaryIO, size: int) -> int | None:
    at, kind = 0, b""
    while at < size:
        file.seek(at)
        header = file.read(16)
        if at and len(header) < 8:
            return at + 8  # the file ends inside the header of a box
        kind = header[4:8]
        if kind not in _BOXES:
            return None
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:
            return None  # 0: up to the end of the file
        at += length
    # a fragment's index comes before its frames
    return at + 8 if kind == b"moof" else at


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
