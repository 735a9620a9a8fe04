"""Archives and models of unknown origin: read right, or refused with the reason."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from geovr.archives import Archive, Refused
from geovr.simulation.rooms.sweethome import model as models
from geovr.simulation.rooms.sweethome import wavefront
from geovr.simulation.rooms.sweethome.colours import CELLS, linear
from geovr.simulation.rooms.sweethome.model import Mesh, load_mesh
from geovr.simulation.rooms.sweethome.properties import parse_properties, read_items
from geovr.simulation.rooms.sweethome.wavefront import parse_mtl, parse_obj
from tests.simulation.rooms.library import item, picture, replace_model, write_library


def mesh_of(
    tmp_path: Path,
    obj: str,
    mtl: str = "",
    size_cm: tuple[int, int, int] = (100, 10, 100),
    **pictures: bytes,
) -> Mesh:
    """The mesh of a model whose catalogue gives it this width, depth and height."""
    size = dict(zip(("width", "depth", "height"), map(str, size_cm), strict=True))
    path = write_library(tmp_path / "a.sh3f", [item(**size)], replace_model(obj, mtl, **pictures))
    with Archive(path) as archive:
        return load_mesh(archive, read_items(archive)[1][0])


LINES = (
    "v 0 0 0", "v 1 2 3", "v 1e400 0 0", "v 1 2", "vt 0 1", "vt nan", "vt", "f 1 2 3", "f",
    "f 1/1 2/1 3", "f -1 -2 -3", "f 1//1 2 -9", "f 99999999999999999999 1 1", "f 0 1 2", "f 1 2",
    "usemtl a", "f 1 2 3 4 5", "f a b c", "\\", "l 1 2", "mtllib",
)  # fmt: skip
SQUARE = "mtllib chair.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 .1\nv 0 1 0\n"


def test_properties_follow_the_rules_of_java() -> None:
    text = (
        b"# comment\r\n! another\n\n a=1\nb : 2\nc 3\nd\\ e=f\\=g\nlong=one \\\n   two\\\\\n"
        b"tab=x\\ty\nempty=\nlone=\\uD83E!\nhex=\\u00E9\\u20ac\nlatin=\xe9\na=last\n\\#k=v"
    )
    assert parse_properties(text) == {
        "a": "last",
        "b": "2",
        "c": "3",
        "d e": "f=g",
        "long": "one two\\",
        "tab": "x\ty",
        "empty": "",
        "lone": "\ufffd!",
        "hex": "é€",
        "latin": "é",
        "#k": "v",
    }


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_properties_obj_and_mtl_or_refused(content: bytes) -> None:
    parse_properties(content)
    for parse in (parse_obj, parse_mtl):
        try:
            parse(content)
        except Refused as error:
            assert str(error)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=12))
def test_an_obj_file_of_any_lines_gives_sound_arrays_or_is_refused(lines: list[str]) -> None:
    try:
        obj = parse_obj("\n".join(lines).encode())
    except Refused:
        return
    assert np.isfinite(obj.vertices_V3[obj.faces_F3]).all()
    assert len(obj.faces_F3) == len(obj.uv_F3) == len(obj.material_F) > 0
    assert obj.faces_F3.min() >= 0 and obj.uv_F3.min() >= -1


def test_polygons_indices_and_slashes_in_every_spelling_are_the_same_triangles() -> None:
    spellings = [
        "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n",
        "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf -4 -3 -2 -1\nv 9 9 9\n",
        "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvn 0 0 1\nf 1//1 2//1 3//1 4//1\n",
        "v 0 0 0 1\r\nv\t1 0 0\r\n v 1 1 0\r\nv 0 1 0\r\nvt 0 0\r\nf 1/1 2/1/ 3 \\\r\n 4\r\n",
        "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3\nf 1 3 4\n",
    ]
    for text in spellings:
        obj = parse_obj(text.encode())
        assert obj.faces_F3.tolist() == [[0, 1, 2], [0, 2, 3]]
        np.testing.assert_array_equal(obj.vertices_V3[:4, :2], [[0, 0], [1, 0], [1, 1], [0, 1]])


def test_a_model_is_that_which_another_reader_finds(tmp_path: Path) -> None:
    sphere = trimesh.creation.icosphere(subdivisions=3)
    sphere.apply_scale([1.0, 2.0, 3.0])
    text = sphere.export(file_type="obj")
    mesh = mesh_of(tmp_path, text, size_cm=(25, 90, 50))
    other = trimesh.load(io.BytesIO(text.encode()), file_type="obj", force="mesh")
    other.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    other.apply_translation(-other.bounds[0])
    other.apply_scale(np.array([0.25, 0.9, 0.5]) / other.extents)
    assert len(mesh.faces_F3) == len(other.faces)
    ours = trimesh.Trimesh(mesh.vertices_V3, mesh.faces_F3, process=False)
    assert ours.area == pytest.approx(other.area, rel=1e-6)
    assert ours.volume == pytest.approx(other.volume, rel=1e-6)  # not inside out either


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        ("v 0 0 0\nv 1 nan 0\nv 1 1 1\nf 1 2 3\n", "not finite"),
        ("v 0 0 0\nv 1 1e30 0\nv 1 1 1\nf 1 2 3\n", "absurdly far"),
        ("v 0 0 0\nv 1 0\nv 1 1 1\nf 1 2 3\n", "no list of numbers"),
        ("v 0 0 0\nv 1 0 0\nv 1 1 1\nf 1 2 4\n", "not there"),
        ("v 0 0 0\nv 1 0 0\nv 1 1 1\nf 1 2 -4\n", "not there"),
        ("v 0 0 0\nv 1 0 0\nv 1 1 1\nf 0 1 2\n", "not there"),
        ("v 0 0 0\nv 1 0 0\nv 1 1 1\nf 1 2 x\n", "no list of indices"),
        ("v 0 0 0\nv 1 0 0\nv 1 1 1\n", "no faces"),
        ("", "no faces"),
        ("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "no extent"),
        ("v 0 0 0\nv 50 1 1\nv 1 1 1\nf 1 2 3\n", "other proportions"),
        ("v 0 0 0\nf" + " 1" * 2000 + "\n", "corners"),
    ],
)
def test_a_broken_model_is_refused_with_the_reason(tmp_path: Path, obj: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        mesh_of(tmp_path, obj)


def test_a_model_of_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    square = b"v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nusemtl a\nusemtl b\nf 1 2 3 4\n"
    for limit in ("MOST_VERTICES", "MOST_TRIANGLES", "MOST_MATERIALS"):
        with monkeypatch.context() as patch, pytest.raises(Refused, match="more than 1 "):
            patch.setattr(wavefront, limit, 1)
            parse_obj(square)
    assert len(parse_obj(square).faces_F3) == 2


def test_a_face_has_the_colour_of_the_texture_under_it(tmp_path: Path) -> None:
    stripes = picture([(200, 0, 0), (0, 0, 100)])
    text = SQUARE + (
        "vt 0.05 0.1\nvt 0.45 0.1\nvt 0.45 0.9\nvt 0.55 .1\nvt .95 .1\nvt .95 .9\nvt 0 0\nvt 3 0\n"
        "vt 3 3\nusemtl wood\nf 1/1 2/2 3/3\nf 1/4 2/5 3/6\nf 2/7 3/8 4/9\nf 2 3 4\n"
    )
    mesh = mesh_of(tmp_path, text, "newmtl wood\nKd 0 1 0\nmap_Kd a.jpg\n", a_jpg=stripes)
    red, blue = linear([200 / 255, 0, 0]), linear([0, 0, 100 / 255])
    expected = [red, blue, (red + blue) / 2, (red + blue) / 2]
    np.testing.assert_allclose(mesh.colour_F3, expected, atol=0.02)
    assert not mesh.faults


def test_the_top_of_a_texture_is_where_v_is_one(tmp_path: Path) -> None:
    image = Image.new("RGB", (CELLS, CELLS), (255, 255, 255))
    image.paste((0, 0, 0), (0, 0, CELLS, CELLS // 2))
    file = io.BytesIO()
    image.save(file, "PNG")
    text = SQUARE + "vt 0 .6\nvt 1 .6\nvt .5 .9\nusemtl m\nf 1/1 2/2 3/3\n"
    mesh = mesh_of(tmp_path, text, "newmtl m\nmap_Kd a.png\n", a_png=file.getvalue())
    np.testing.assert_allclose(mesh.colour_F3, 0.0, atol=0.01)


def test_missing_materials_and_textures_give_a_plain_colour_and_are_named(tmp_path: Path) -> None:
    mtl = (
        "newmtl a\nKd 1 0 0\nmap_Kd missing.jpg\nnewmtl b\nKd 0 1 0\nmap_Kd C:\\x\\b.jpg\n"
        "newmtl c\nKd 0 0 1\nmap_Kd ../../../c.jpg\nnewmtl d\nKd 1 1 0\nmap_Kd d.jpg\n"
        "newmtl e\nd 0\n"
    )
    names = "abcdxe"
    text = SQUARE + "".join(f"usemtl {name}\nf 1 2 3\n" for name in names)
    mesh = mesh_of(tmp_path, text, mtl, d_jpg=b"no picture")
    np.testing.assert_allclose(
        mesh.colour_F3[:4], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], atol=1e-6
    )
    assert len(mesh.colour_F3) == 5  # an invisible face isn't drawn
    told = "\n".join(mesh.faults)
    for fault in ("missing.jpg is not", "'C:\\\\x\\\\b.jpg' leads out", "c.jpg' leads out",
                  "d.jpg is no picture", "no material 'x'"):  # fmt: skip
        assert fault in told


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    # a sound PNG header that promises 60,000 x 60,000 pixels
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "PNG")
    content = bytearray(file.getvalue())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    text = SQUARE + "usemtl m\nf 1 2 3\n"
    mesh = mesh_of(tmp_path, text, "newmtl m\nKd 1 0 0\nmap_Kd a.png\n", a_png=bytes(content))
    np.testing.assert_allclose(mesh.colour_F3, [[1, 0, 0]])
    assert mesh.faults


def test_a_model_of_many_faces_is_simplified_within_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "MOST_FACES", 15_000)
    sphere = trimesh.creation.icosphere(subdivisions=5)
    sphere.apply_scale([0.5, 0.9, 0.6])
    mesh = mesh_of(tmp_path, sphere.export(file_type="obj"), size_cm=(50, 60, 90))
    assert 1_000 < len(mesh.faces_F3) <= 15_000 < mesh.faces_in_file == len(sphere.faces)
    np.testing.assert_allclose(np.ptp(mesh.vertices_V3, axis=0), [0.5, 0.6, 0.9], atol=1e-12)
    area = trimesh.Trimesh(mesh.vertices_V3, mesh.faces_F3, process=False).area
    assert area == pytest.approx(sphere.area / 4, rel=0.03)


def test_faces_that_no_grid_makes_fewer_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "MOST_FACES", 100)
    sphere = trimesh.creation.icosphere(subdivisions=4)
    with pytest.raises(Refused, match="even when simplified"):
        mesh_of(tmp_path, sphere.export(file_type="obj"), size_cm=(50, 50, 50))
