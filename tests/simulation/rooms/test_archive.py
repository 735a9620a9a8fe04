"""A .sh3f file is an archive of unknown origin: what isn't let in."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geovr import archives
from geovr.archives import Archive, Refused, member_name
from geovr.errors import UserError
from geovr.simulation.rooms.catalogue import Catalogue
from tests.simulation.rooms.library import item, write_library

pytestmark = pytest.mark.fault(51)


@pytest.mark.parametrize(
    ("directory", "reference", "name"),
    [
        ("a/b", "c.mtl", "a/b/c.mtl"),
        ("a/b", "../c.mtl", "a/c.mtl"),
        ("a/b", "x\\y.jpg", "a/b/x/y.jpg"),
        ("a/b", "../../../c", None),
        ("", "..", None),
        ("a", "/etc/passwd", None),
        ("", "C:/x", None),
        ("a", "D:\\x", None),
        ("a", "x\0y", None),
    ],
)
def test_a_reference_stays_in_the_archive(directory: str, reference: str, name: str | None) -> None:
    assert member_name(directory, reference) == name


@pytest.mark.parametrize("name", ["../evil.obj", "/etc/evil", "a/../../evil", "C:\\evil", "..\\x"])
def test_an_archive_with_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    path = write_library(tmp_path / "a.sh3f", [item()], {name: b"x"})
    with pytest.raises(UserError, match=r"a\.sh3f: member .* leads out of the archive"):
        Catalogue.open(path.parent)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    write_library(tmp_path / "a.sh3f", [item()], {"bomb.obj": bytes(32 << 20)})
    with pytest.raises(UserError, match=r"a\.sh3f: member 'bomb.obj' unpacks to \d+ times"):
        Catalogue.open(tmp_path)


def test_archives_that_are_too_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_library(tmp_path / "a.sh3f", [item()])
    for limit in ("archive_bytes", "directory_bytes", "members", "unpacked_bytes"):
        with monkeypatch.context() as patch, pytest.raises(UserError, match=r"a\.sh3f: "):
            patch.setattr(archives, "LIBRARY", replace(archives.LIBRARY, **{limit: 3}))
            Catalogue.open(tmp_path)
    with Archive(path) as archive, pytest.raises(Refused, match="more than 10"):
        archive.read("tests/chair/chair.obj", 10)


def test_an_archive_of_the_large_kind_is_refused_before_its_list_is_read(tmp_path: Path) -> None:
    path = write_library(tmp_path / "a.sh3f", [item()])
    content = path.read_bytes()
    locator = b"PK\6\7" + struct.pack("<LQL", 0, len(content) - 22, 1)
    path.write_bytes(content[:-22] + locator + content[-22:])
    with pytest.raises(UserError, match="list of members"):
        Catalogue.open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + bytes(40)])
def test_a_file_that_is_no_archive_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.sh3f").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.sh3f: no sound zip archive"):
        Catalogue.open(tmp_path)


def test_a_cut_archive_is_refused_by_name(tmp_path: Path) -> None:
    path = write_library(tmp_path / "a.sh3f", [item()])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"a\.sh3f"):
        Catalogue.open(tmp_path)


def test_an_archive_without_a_catalogue_is_refused_by_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.sh3f", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UserError, match=r"a\.sh3f: PluginFurnitureCatalog.properties is not in"):
        Catalogue.open(tmp_path)


def stored_record(content: bytes, name: bytes) -> int:
    """Where the directory's record of a member begins."""
    return content.rindex(b"PK\x01\x02", 0, content.rindex(name))


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (24, struct.pack("<I", 20), "damaged"),  # says to unpack to 20 bytes
        (16, struct.pack("<I", 0), "damaged"),  # another checksum
        (8, struct.pack("<H", 1), "encrypted"),
        (10, struct.pack("<H", 14), "unusual method"),  # LZMA
    ],
)
def test_a_member_that_is_not_what_the_directory_says_is_refused(
    tmp_path: Path, offset: int, value: bytes, reason: str
) -> None:
    path = write_library(tmp_path / "a.sh3f", [item()])
    content = bytearray(path.read_bytes())
    at = stored_record(bytes(content), b"tests/chair/chair.obj") + offset
    content[at : at + len(value)] = value
    path.write_bytes(content)
    with Archive(path) as archive, pytest.raises(Refused, match=reason):
        archive.read("tests/chair/chair.obj", 1 << 20)


def test_nothing_is_written_beside_the_archive(tmp_path: Path) -> None:
    write_library(tmp_path / "a.sh3f", [item()])
    assert Catalogue.open(tmp_path).draw("chair", np.random.default_rng(0)) is not None
    assert [path.name for path in tmp_path.rglob("*")] == ["a.sh3f"]
