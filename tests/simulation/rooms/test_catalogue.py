"""Furniture libraries: what becomes of an item, and what isn't let in."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from geovr.errors import UserError
from geovr.simulation.rooms.catalogue import Catalogue, open_catalogue
from geovr.simulation.rooms.sweethome.colours import linear
from geovr.simulation.rooms.sweethome.names import KINDS, kind_of
from geovr.simulation.rooms.world import Model
from tests.simulation.rooms.library import item, replace_model, write_library


def opened(directory: Path, *items: dict[str, str], **others: object) -> Catalogue:
    write_library(directory / "tiny.sh3f", list(items), **others)  # type: ignore[arg-type]
    return Catalogue.open(directory)


def drawn(catalogue: Catalogue, what: str = "chair", seed: int = 0) -> Model:
    model = catalogue.draw(what, np.random.default_rng(seed))
    assert model is not None
    return model


def points(model: Model, colour: tuple[float, float, float]) -> np.ndarray:
    """Vertices of the faces of a display colour."""
    faces = np.isclose(model.colour_F3, linear(colour), atol=1e-6).all(axis=1)
    assert faces.any()
    return model.vertices_V3[model.faces_F3[faces]].reshape(-1, 3)


SEAT, BACK, LEFT = (0.5, 0.25, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def test_a_model_has_its_size_in_metres_and_stands_on_the_floor_with_its_front_towards_minus_y(
    tmp_path: Path,
) -> None:
    model = drawn(opened(tmp_path, item()))
    assert model.size_3 == (0.5, 0.6, 0.9)
    np.testing.assert_allclose(model.vertices_V3.min(axis=0), [-0.25, -0.3, 0.0], atol=1e-12)
    np.testing.assert_allclose(model.vertices_V3.max(axis=0), [0.25, 0.3, 0.9], atol=1e-12)
    assert len(model.faces_F3) == 3 * 12
    assert points(model, BACK)[:, 1].min() == pytest.approx(0.3 - 0.06)
    assert points(model, BACK)[:, 2].min() == pytest.approx(0.9 / 4)
    assert points(model, SEAT)[:, 2].max() == pytest.approx(0.9 / 4)
    # not its mirror image
    assert points(model, LEFT)[:, 0].max() == pytest.approx(-0.25 + 0.05)


def test_a_model_rotation_comes_before_the_size(tmp_path: Path) -> None:
    lying = "v 0 0 0\nv 10 0 0\nv 10 20 0\nv 0 20 0\nv 5 10 40\nf 1 2 3 4\nf 1 2 5\n"
    # rows: x stays, y becomes the file's z, z becomes minus the file's y
    turned = item(width="22.5", depth="45", modelRotation="1 0 0 0 0 1 0 -1 0")
    model = drawn(opened(tmp_path, turned, members=replace_model(lying)))
    top = model.vertices_V3[model.vertices_V3[:, 2] > 0.01]
    np.testing.assert_allclose(top, [[0.0, 0.0, 0.9]], atol=1e-12)
    front = model.vertices_V3[model.faces_F3[-1]]  # the side at the file's y = 0, thus z = 0
    np.testing.assert_allclose(sorted(front[:, 1]), [-0.225, -0.225, 0.0], atol=1e-12)


def test_a_placed_model_is_turned_counter_clockwise_and_moved(tmp_path: Path) -> None:
    model = drawn(opened(tmp_path, item()))
    thing = model.placed(2.0, -1.0, np.pi / 2)
    # its front now looks along +x, its back stands at the low end of x
    np.testing.assert_allclose(thing.vertices_V3.min(axis=0), [1.7, -1.25, 0.0], atol=1e-12)
    np.testing.assert_allclose(thing.vertices_V3.max(axis=0), [2.3, -0.75, 0.9], atol=1e-12)
    back = thing.vertices_V3[thing.faces_F3[np.isclose(thing.colour_F3, [1, 0, 0]).all(axis=1)]]
    assert back[..., 0].max() == pytest.approx(1.76)
    np.testing.assert_allclose(thing.centre_3, [2.0, -1.0, 0.45])
    assert (thing.category, thing.size_3, thing.yaw) == ("chair", (0.5, 0.6, 0.9), np.pi / 2)
    assert thing.source == {
        "model": "Chair",
        "catalogue": "tiny.sh3f",
        "author": "A. Maker",
        "licence": "Creative Commons Attribution 3.0",
    }


def test_an_items_own_licence_comes_before_the_librarys_and_escapes_are_read(
    tmp_path: Path,
) -> None:
    own = item("Ch\\u0061ir", license="CC0", creator="Ren\\u00e9e \\uD83E\\uDE91\\\n    & son")
    source = drawn(opened(tmp_path, own)).source
    assert source["model"] == "Chair"
    assert source["author"] == "Renée \U0001fa91& son"
    assert source["licence"] == "CC0"


def test_nobody_is_credited_by_guess(tmp_path: Path) -> None:
    source = drawn(opened(tmp_path, item(creator=""), about={"name": "Bare"})).source
    assert (source["author"], source["licence"]) == ("not stated", "not stated")


def test_whatever_is_left_out_is_counted_by_name_and_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    items = [
        item(),
        item("Winchester armchair", width="100"),
        item("Wall lamp", elevation="140", height="120"),
        item("Flux capacitor"),
        item("Flux capacitor"),
        item("Lamp", height="30"),
        item("Front door", doorOrWindow="true"),
        item("Chair", category="Exterior"),
        item("Sofa", width="0"),
        item("Bed", depth="100000"),
        item("Table", height="tall"),
        item("Desk", model="http://somewhere/desk.obj"),
        item("Stool", model="/tests/chair/stool.obj"),
        item("Bench", model="/../../bench.obj"),
        item("Piano", modelRotation="2 0 0 0 2 0 0 0 2"),
        item("Wardrobe", height="NaN"),
    ]
    catalogue = opened(tmp_path, *items)
    assert catalogue.categories == ("armchair", "chair")
    assert catalogue.skipped == {
        "not for a room": {"Chair": 1, "Front door": 1},
        "not standing on the floor": {"Wall lamp": 1},
        "of another size than its name says": {"Lamp": 1},
        "refused: a side is shorter than 0.001 m or longer than 5 m": {"Bed": 1, "Sofa": 1},
        "refused: height is no number": {"Table": 1, "Wardrobe": 1},
        "refused: its model is missing from the archive": {"Desk": 1, "Stool": 1},
        "refused: its model is no OBJ file of the archive": {"Bench": 1},
        "refused: modelRotation is no rotation": {"Piano": 1},
        "unknown name": {"Flux capacitor": 2},
    }
    (library,) = catalogue.libraries
    counted = sum(sum(names.values()) for names in catalogue.skipped.values())
    assert library.items == len(items) == library.usable + counted
    assert catalogue.summary()["usable"] == {"armchair": 1, "chair": 1}
    with caplog.at_level(logging.INFO, logger="geovr"):
        catalogue.log_summary()
    assert "2 of 16 items of 1 libraries in 2 categories" in caplog.text
    assert "2 unknown name: Flux capacitor x2" in caplog.text


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("Armchair", "armchair"),
        ("Wooden  teak table", "table"),
        ("Coffee table", "coffee table"),
        ("Bedside table", "nightstand"),
        ("Table with tablecloth", "table"),
        ("Chair, red", "chair"),
        ("Sofa 3 seats", "sofa"),
        ("TV 16:9", "tv"),
        ("TV stand", "tv stand"),
        ("Clothes washing machine", "washing machine"),
        ("Table fan", None),
        ("Doll house", None),
        ("Armchairs", None),
        ("Street lamp", None),
        ("", None),
    ],
)
def test_the_end_of_a_name_decides(name: str, category: str | None) -> None:
    kind = kind_of(name)
    assert (kind and kind.category) == category


def test_every_word_of_the_table_leads_to_its_own_category() -> None:
    for kind in KINDS:
        for word in kind.words:
            found = kind_of(word)
            assert found is not None and found.category == kind.category, word


def test_a_refused_model_is_passed_over_and_named(tmp_path: Path) -> None:
    broken = {"tests/broken.obj": "v 0 0 0\nv nan 0 1\nv 1 1 1\nf 1 2 3\n"}
    items = [item(f"{word} chair", model="/tests/broken.obj") for word in ("Red", "Tan", "Blue")]
    catalogue = opened(tmp_path, *items, item("Sound chair"), members=broken)
    assert {drawn(catalogue, seed=seed).source["model"] for seed in range(8)} == {"Sound chair"}
    assert set(catalogue.refused) == {
        f"tiny.sh3f: {word} chair (tests/broken.obj)" for word in ("Red", "Tan", "Blue")
    }
    assert "not finite" in next(iter(catalogue.refused.values()))
    scene = catalogue.for_scene()
    assert not scene.refused
    assert {drawn(scene, seed=seed).source["model"] for seed in range(8)} == {"Sound chair"}
    assert scene.refused == catalogue.refused  # known ones are told of again


def test_what_is_drawn_hangs_on_the_seed_and_the_bytes_alone(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    broken = {"tests/broken.obj": "v 0 0 0\nf 1 1 9\n"}
    items = [item(f"{n} chair", model="/tests/broken.obj") if n % 3 == 0 else item(f"{n} chair")
             for n in range(9)]  # fmt: skip
    first = opened(one, *items, members=broken)
    second = opened(two, *items, members=broken)
    names = [drawn(first, seed=seed).source["model"] for seed in range(20)]
    # another order of drawing, so that refusals are met at other times
    again = {seed: drawn(second, seed=seed).source["model"] for seed in reversed(range(20))}
    assert names == [again[seed] for seed in range(20)]
    assert len(set(names)) == 6
    assert first.digest == second.digest
    write_library(two / "tiny.sh3f", items[:-1], broken)
    assert Catalogue.open(two).digest != first.digest


def test_a_group_of_the_catalogue_draws_each_category_alike(tmp_path: Path) -> None:
    items = [item(f"{n} chair") for n in range(20)] + [item("Armchair")]
    items += [item("Toilet", category="Bathroom")]
    catalogue = opened(tmp_path, *items)
    found = [drawn(catalogue, "living room", seed).category for seed in range(60)]
    assert 15 < found.count("armchair") < 45 and "toilet" not in found
    assert catalogue.draw("cellar", np.random.default_rng(0)) is None


def test_a_worker_notices_that_the_libraries_changed(tmp_path: Path) -> None:
    catalogue = opened(tmp_path, item())
    assert open_catalogue(tmp_path, catalogue.digest).digest == catalogue.digest
    with pytest.raises(UserError, match="changed while scenes were made"):
        open_catalogue(tmp_path, "0" * 64)


@pytest.mark.parametrize("there", [False, True])
def test_without_a_catalogue_the_message_says_how_to_get_one(tmp_path: Path, there: bool) -> None:
    directory = tmp_path / "furniture"
    if there:
        directory.mkdir()
        (directory / "readme.txt").write_text("no library")
    with pytest.raises(UserError) as caught:
        Catalogue.open(directory)
    text = str(caught.value)
    assert str(directory) in text
    for command in (
        "apt-get download sweethome3d-furniture",
        "dpkg-deb -x sweethome3d-furniture_*_all.deb furniture",
        "--furniture furniture/usr/share/sweethome3d/furniture",
        "Elsewhere",
    ):
        assert command in text


def test_a_library_with_nothing_usable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of the 1 items"):
        opened(tmp_path, item("Flux capacitor"))
