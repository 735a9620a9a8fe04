"""All libraries of Debian's package sweethome3d-furniture, read as `--furniture` does.

They are taken from $GEOVR_FURNITURE or where the package installs them. With REQUIRE_SERVERS=1 they
are otherwise downloaded (120 MB) by the very commands that the error message tells.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh

from geovr.archives import Archive, Refused
from geovr.simulation.rooms.catalogue import HOW_TO_GET_IT, Catalogue
from geovr.simulation.rooms.sweethome.model import MOST_FACES, MOST_OBJ_BYTES, load_mesh
from geovr.simulation.rooms.sweethome.properties import Item

pytestmark = pytest.mark.servers
INSTALLED = Path("/usr/share/sweethome3d/furniture")
CATEGORIES = 30
"""At least so many, of which each common one has several models."""


def download(directory: Path) -> Path:
    commands = [line.strip() for line in HOW_TO_GET_IT.splitlines() if line.startswith("  ")]
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.fail("no furniture libraries, no apt-get to get them, and REQUIRE_SERVERS=1")
    if os.geteuid() == 0:  # a fresh machine has no list of packages yet
        subprocess.run(["apt-get", "update", "-qq"], check=False, timeout=300)
    for command in commands:
        subprocess.run(["bash", "-ec", command], cwd=directory, check=True, timeout=600)
    return directory / "furniture/usr/share/sweethome3d/furniture"


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    named = Path(os.environ.get("GEOVR_FURNITURE", INSTALLED))
    if any(named.glob("*.sh3f")):
        yield named
        return
    if os.environ.get("REQUIRE_SERVERS") == "1":
        directory = tmp_path_factory.mktemp("libraries")
        yield download(directory)
        shutil.rmtree(directory)
        return
    pytest.skip("NO FURNITURE LIBRARIES: set GEOVR_FURNITURE, or install sweethome3d-furniture")


def test_every_usable_model_is_sound_and_what_another_reader_finds(
    libraries: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = Catalogue.open(libraries)
    faces: dict[str, list[int]] = {}
    refused: list[str] = []
    by_file: dict[str, list[int]] = {}
    for library in catalogue.libraries:
        with Archive(libraries / library.file) as archive:
            for number, piece in enumerate(
                p for p in catalogue.pieces if p.item.file == library.file
            ):
                item = piece.item
                try:
                    mesh = load_mesh(archive, item)
                except Refused as error:
                    refused.append(f"{item.file}: {item.name}: {error}")
                    continue
                faces.setdefault(piece.category, []).append(len(mesh.faces_F3))
                by_file.setdefault(library.file, []).append(mesh.faces_in_file)
                size_3 = np.array(item.size_m)
                low_3, high_3 = mesh.vertices_V3.min(axis=0), mesh.vertices_V3.max(axis=0)
                np.testing.assert_allclose(high_3 - low_3, size_3, atol=1e-9, err_msg=item.member)
                np.testing.assert_allclose(low_3[:2], -size_3[:2] / 2, atol=1e-9)
                assert low_3[2] == pytest.approx(0.0, abs=1e-9)
                assert 0 < len(mesh.faces_F3) <= MOST_FACES
                assert ((mesh.colour_F3 >= 0) & (mesh.colour_F3 <= 1)).all()
                assert item.licence != "not stated" and item.author != "not stated"
                if number % 8 == 0 and len(mesh.faces_F3) == mesh.faces_in_file:
                    area = other_area(archive.read(item.member, MOST_OBJ_BYTES), item)
                    ours = trimesh.Trimesh(mesh.vertices_V3, mesh.faces_F3, process=False).area
                    assert ours == pytest.approx(area, rel=1e-3), item.member
    with capsys.disabled():
        print(f"\n{sum(map(len, faces.values()))} models sound, {len(refused)} refused")
        for category, counts in sorted(faces.items()):
            print(f"  {category:16s} {len(counts):3d} models, {int(np.median(counts)):6d} faces")
        for file, counts in by_file.items():
            quartiles = np.percentile(counts, [0, 25, 50, 75, 100]).astype(int).tolist()
            print(f"  {file:24s} {len(counts):3d} models, quartiles of faces in file {quartiles}")
        print("\n".join(f"  {line}" for line in refused))
    assert len(faces) >= CATEGORIES
    assert all(len(faces[name]) >= 5 for name in ("chair", "table", "sofa", "bed", "bookshelf"))
    assert len(refused) < len(catalogue.pieces) / 20


def other_area(content: bytes, item: Item) -> float:
    """Surface of a model in its catalogue's size, by trimesh's reader."""
    mesh = trimesh.load(io.BytesIO(content), file_type="obj", force="mesh", process=False)
    if item.rotation is not None:
        turn = np.eye(4)
        turn[:3, :3] = np.reshape(item.rotation, (3, 3))
        mesh.apply_transform(turn)
    width, depth, height = item.size_m
    mesh.apply_translation(-mesh.bounds[0])
    mesh.apply_scale(np.array([width, height, depth]) / mesh.extents)
    return float(mesh.area)


def test_the_same_libraries_draw_the_same_models(libraries: Path) -> None:
    names = []
    for _ in range(2):
        catalogue = Catalogue.open(libraries)
        rng = np.random.default_rng(3)
        drawn = [catalogue.draw(category, rng) for category in ("chair", "plant", "bathroom")]
        names.append([(m.source["model"], m.vertices_V3.tobytes()) for m in drawn if m])
    assert len(names[0]) == 3 and names[0] == names[1]
