"""`geovr simulate --preset rooms`: files, repeatability, previews, questions."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from geovr.errors import UserError
from geovr.simulation.rooms.questions import KINDS
from geovr.simulation.simulate import SimulateConfig, simulate
from tests.simulation.rooms.library import box, item, write_library
from tests.workspace import Workspace

SMALL = {"preset": "rooms", "train_scenes": 1, "test_scenes": 1, "frames": 8, "size": "64x48"}


def made(output: Path, **changes: object) -> dict[str, bytes]:
    simulate(SimulateConfig.model_validate(SMALL | {"output": output} | changes))
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file()
    }


def test_same_seed_same_bytes_with_any_number_of_processes(tmp_path: Path) -> None:
    one = made(tmp_path / "one", processes=1, preview=True)
    two = made(tmp_path / "two", processes=2, preview=True)
    assert one == two and len(one) == 3 + 2 * 3
    other = made(tmp_path / "other", processes=1, seed=1)
    assert other["videos/rooms/train-00000.mp4"] != one["videos/rooms/train-00000.mp4"]
    again = simulate(SimulateConfig.model_validate(SMALL | {"output": tmp_path / "one"}))
    assert (again["made"], again["kept"]) == (0, 2)

    scenes = json.loads(one["scenes.json"])["scenes"]
    for scene in scenes:
        with av.open(str(tmp_path / "one" / scene["video"])) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        truth = load_file(tmp_path / "one" / scene["ground_truth"])
        assert len(frames) == len(truth["depth_NHW"]) == 8 and frames[0].shape == (48, 64, 3)
        assert truth["instance_NHW"].max() <= len(scene["objects"])
        assert np.isfinite(truth["depth_NHW"]).all() and truth["depth_NHW"].min() > 0.1
        assert truth["timestamps_N"][1] == 0.25
        sheet = Image.open(tmp_path / "one/preview" / f"{scene['scene']}.png")
        assert sheet.size[0] > 4 * 64 * 4 and sheet.size[1] == 3 * (48 * 4 + 6)
    rows = [json.loads(line) for name in ("train", "test")
            for line in one[f"{name}_questions.jsonl"].decode().splitlines()]  # fmt: skip
    assert rows and {row["question_type"] for row in rows} <= set(KINDS)


def test_furniture_libraries_are_used_and_credited(tmp_path: Path) -> None:
    folder = tmp_path / "furniture"
    folder.mkdir()
    sizes = {
        "Sofa": (200, 90, 80), "Table": (140, 80, 75), "Chair": (45, 45, 90), "Desk": (120, 60, 75),
        "Bed": (160, 200, 60), "Bookcase": (80, 30, 180), "Wardrobe": (120, 60, 200),
        "Nightstand": (45, 40, 50), "Refrigerator": (60, 60, 180), "Sink": (60, 50, 85),
        "Toilet": (40, 60, 80), "Bathtub": (160, 75, 55), "Stove": (60, 60, 90),
        "Plant": (50, 50, 100), "Floor lamp": (40, 40, 160), "Dustbin": (30, 30, 40),
        "TV": (100, 20, 60), "Stool": (35, 35, 50), "Dresser": (110, 45, 90),
    }  # fmt: skip
    items, members = [], {}
    for name, (width, depth, height) in sizes.items():
        model = f"tests/{name.replace(' ', '')}.obj"
        members[model] = box((0, 0, 0), (width, height, depth))
        size = {"width": str(width), "depth": str(depth), "height": str(height)}
        items.append(item(name, model=f"/{model}", **size))
    write_library(folder / "tiny.sh3f", items, members)
    made(tmp_path / "out", furniture=folder)
    table = json.loads((tmp_path / "out/scenes.json").read_text())
    sources = [thing["source"] for scene in table["scenes"] for thing in scene["objects"]]
    assert sources and all(
        source["model"] and source["author"] and source["licence"] for source in sources
    )
    assert table["furniture"]["libraries"]


def test_without_a_catalogue_the_message_says_how_to_get_one(
    tmp_path: Path, workspace: Workspace
) -> None:
    with pytest.raises(UserError, match="apt-get download sweethome3d-furniture"):
        made(tmp_path / "out", furniture=tmp_path / "none")
    told = workspace.inline(
        "simulate", "--preset", "demo", "--output", "x", "--furniture", "y", code=2
    )
    assert "only preset rooms takes furniture libraries" in told


def test_one_number_of_scenes_is_dealt_four_to_one(workspace: Workspace) -> None:
    told = workspace.inline("simulate", "--output", "few", "--scenes", "10", "--json")
    assert json.loads(told[told.index("{\n") :])["scenes"] == {"test": 2, "train": 8}
