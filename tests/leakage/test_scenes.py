"""One name for a scene, in the shapes that data sets really use."""

from __future__ import annotations

import pytest

from geovr.leakage.scenes import known_scene, scene_name


@pytest.mark.parametrize(
    "scene, medium, name",
    [
        ("scene0011_00", "scannet/scene0011_00.mp4", "scannet/scene0011"),
        ("scene0011_01", "scannet/scene0011_01", "scannet/scene0011"),
        ("scene0011", "scannetv2_val/scene0011_02/color/100.jpg", "scannet/scene0011"),
        ("0", "16_frame/scene0011_00.mp4", "scannet/scene0011"),
        ("41069025", "arkitscenes/41069025.mp4", "arkitscenes/41069025"),
        ("41069025", "all_frame/41069025.mp4", "arkitscenes/41069025"),
        ("7b6477cb95", "scannetpp/7b6477cb95.mp4", "scannetpp/7b6477cb95"),
        ("7b6477cb95", "scannetppv2/7b6477cb95.mp4", "scannetpp/7b6477cb95"),
        ("7b6477cb95", "scannetpp/videos/7b6477cb95.mp4", "scannetpp/7b6477cb95"),
        ("5942004064", "scannetpp/5942004064", "scannetpp/5942004064"),
        ("ai_001_002", "hypersim/ai_001_002_cam_00.mp4", "hypersim/ai_001_002"),
        ("ai_001_002_cam_01", "hypersim/ai_001_002_cam_01", "hypersim/ai_001_002"),
        ("scene_00021_01", "multiscan/scene_00021_01.mp4", "multiscan/scene_00021"),
        ("train-00001", "rooms/train-00001", "rooms/train-00001"),
        ("0001", "kitchens/0001.mp4", "kitchens/0001"),
        ("0001", "offices/0001.mp4", "offices/0001"),
        ("garage", "garage.mp4", "garage"),
        ("item 17", "images/ab/abcdef.png", None),
    ],
)
def test_names(scene: str, medium: str, name: str | None) -> None:
    assert scene_name(scene, medium) == name


@pytest.mark.parametrize(
    "name", ["scene11_00", "myscene0011_00", "2041069025x", "31069025", "7b6477cb9", "ai_1_2", ""]
)
def test_what_only_resembles_a_known_shape_is_not_taken_for_it(name: str) -> None:
    assert known_scene(name) is None
