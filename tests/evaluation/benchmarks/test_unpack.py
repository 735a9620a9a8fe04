"""Archives of a data set come from strangers: what is written, and what isn't."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from geovr.archives import DATA_SET
from geovr.errors import UserError
from geovr.unpack import unpack
from tests import published

pytestmark = pytest.mark.fault(51)


def tarred(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def names_in(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if not p.is_dir())


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_media_and_tables_are_written_and_nothing_else(ending: str, tmp_path: Path) -> None:
    files = {
        "scannet/a.mp4": b"video", "data/raw/q.jsonl": b"{}", "x/1.jpg": b"image",
        "__MACOSX/._a.mp4": b"junk", ".hidden/a.mp4": b"junk", "run.sh": b"junk", "a.pkl": b"junk",
    }  # fmt: skip
    path = tmp_path / f"a.{ending}"
    if ending == "zip":
        published.zipped(path, files)
    else:
        tarred(path, [(tarfile.TarInfo(f"./{name}"), data) for name, data in files.items()])
    out = tmp_path / "out"
    assert unpack(path, out) == ["data/raw/q.jsonl", "scannet/a.mp4", "x/1.jpg"]
    assert names_in(out) == ["data/raw/q.jsonl", "scannet/a.mp4", "x/1.jpg"]
    assert (out / "scannet/a.mp4").read_bytes() == b"video"
    assert unpack(path, out)  # a second time changes nothing
    assert names_in(out) == ["data/raw/q.jsonl", "scannet/a.mp4", "x/1.jpg"]


@pytest.mark.parametrize("name", ["../evil.mp4", "/tmp/evil.mp4", "a/../../evil.mp4", "C:\\e.mp4"])
@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_an_archive_that_leads_out_is_refused_whole(name: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / "in" / f"a.{ending}"
    if ending == "zip":
        published.zipped(path, {"good.mp4": b"x", name: b"evil"})
    else:
        path.parent.mkdir()
        tarred(path, [(tarfile.TarInfo("good.mp4"), b"x"), (tarfile.TarInfo(name), b"evil")])
    with pytest.raises(UserError, match=r"leads out of .*delete it and fetch"):
        unpack(path, tmp_path / "out")
    assert names_in(tmp_path) == [f"in/a.{ending}"]


def test_links_and_devices_of_a_tar_are_not_made(tmp_path: Path) -> None:
    link, device = tarfile.TarInfo("link.mp4"), tarfile.TarInfo("device.mp4")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type = tarfile.CHRTYPE
    path = tarred(
        tmp_path / "a.tar.gz", [(link, b""), (device, b""), (tarfile.TarInfo("b.mp4"), b"v")]
    )
    assert unpack(path, tmp_path / "out") == ["b.mp4"]
    assert names_in(tmp_path / "out") == ["b.mp4"]


def test_a_link_that_lies_there_already_leads_nothing_out(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/scannet").symlink_to(tmp_path / "elsewhere")
    path = published.zipped(tmp_path / "a.zip", {"scannet/a.mp4": b"video"})
    with pytest.raises(UserError, match="is a link to elsewhere"):
        unpack(path, tmp_path / "out")
    assert names_in(tmp_path / "elsewhere") == []


def test_bombs_and_archives_over_a_limit_are_refused(tmp_path: Path) -> None:
    tar = tarred(tmp_path / "a.tar.gz", [(tarfile.TarInfo("a.mp4"), bytes(32 << 20))])
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.mp4", bytes(32 << 20))
    for path in (tar, tmp_path / "a.zip"):
        with pytest.raises(UserError, match=r"unpacks to (over )?\d+ times"):
            unpack(path, tmp_path / "out")
    small = published.zipped(tmp_path / "b.zip", {"a.mp4": b"1234", "b.mp4": b"5678"})
    both = tarred(
        tmp_path / "b.tar.gz",
        [(tarfile.TarInfo("a.mp4"), b"1234"), (tarfile.TarInfo("b.mp4"), b"5678")],
    )
    for path in (small, both):
        for limit in ({"members": 1}, {"unpacked_bytes": 7}):
            with pytest.raises(UserError, match=r"more than|far more"):
                unpack(path, tmp_path / "out", replace(DATA_SET, **limit))
    assert names_in(tmp_path / "out") == []


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_a_cut_archive_leaves_nothing(ending: str, tmp_path: Path) -> None:
    import random

    noise = random.Random(0).randbytes(1 << 16)
    path = tmp_path / f"a.{ending}"
    if ending == "zip":
        published.zipped(path, {"a.mp4": noise, "b.mp4": noise})
    else:
        tarred(path, [(tarfile.TarInfo("a.mp4"), noise), (tarfile.TarInfo("b.mp4"), noise)])
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(UserError, match=rf"a\.{ending}: no sound"):
        unpack(path, tmp_path / "out")
    assert names_in(tmp_path / "out") == []


def test_an_archive_over_4_gib_is_read_by_its_extension(tmp_path: Path) -> None:
    """A directory that is announced by the extension, and one that lies about its length."""
    import struct

    path = published.zipped(tmp_path / "a.zip", {"a.mp4": b"video"})
    content = path.read_bytes()
    end = content[-22:]
    size, offset = struct.unpack_from("<II", end, 12)
    for said in (size, 1 << 40):
        record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, said, offset)
        locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(content) - 22, 1)
        path.write_bytes(content[:-22] + record + locator + end)
        if said == size:
            assert unpack(path, tmp_path / "out") == ["a.mp4"]
        else:
            with pytest.raises(UserError, match="list of members that is far too long"):
                unpack(path, tmp_path / "out")
