"""One name for a scene, however a data set writes it.

| data set | written as | scene |
|---|---|---|
| ScanNet | scene0011_00, scannet/scene0011_01.mp4, scans/scene0011_02/color/0.jpg | scene0011 |
| MultiScan | scene_00021_00 | scene_00021 |
| ScanNet++ | 7b6477cb95, scannetpp/..., scannetppv2/... | 7b6477cb95 |
| ARKitScenes | 41069025, arkitscenes/41069025.mp4 | 41069025 |
| Hypersim | ai_001_002, ai_001_002_cam_00 | ai_001_002 |
| others | folder/.../name.mp4 | folder/name |

ScanNet and MultiScan film a room several times, and say so in the name: another scan is the same
scene. ARKitScenes and 3RScan do so too, but only their metadata tell which ids are of one room.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

_SHAPES = (
    ("scannet", re.compile(r"(scene\d{4})_\d{2}")),
    ("multiscan", re.compile(r"(scene_\d{5})_\d{2}")),
    ("hypersim", re.compile(r"(ai_\d{3}_\d{3})(?:[_.-]cam[_-]?\d+)?")),
    ("scannetpp", re.compile(r"([0-9a-f]{10})")),
    ("arkitscenes", re.compile(r"(4\d{7})")),
)
_OF_A_QUESTION = re.compile(r"item \S+")
"""What readers of benchmarks say where the publisher names no scene."""


def known_scene(*names: str) -> str | None:
    """`dataset/scene` of the first name that has a known shape, from its last part to its first."""
    for name in names:
        parts = PurePosixPath(name).parts
        for part in reversed(parts):
            # a suffix is letters and a digit at most: the rest may belong to the name
            stem = re.sub(r"\.[A-Za-z]\w{1,4}$", "", part)
            for dataset, shape in _SHAPES:
                found = shape.fullmatch(stem)
                if found:
                    return f"{dataset}/{found[1]}"
    return None


def scene_name(scene: str, medium: str) -> str | None:
    """The name under which scenes of two data sets are compared; None when there is none.

    Where the shape is not known, the first folder of the medium stands before the scene, so that
    `0001` of two data sets are two scenes.

    Args:
        scene: as the data set or its reader says.
        medium: path of the video or image, with or without a suffix.
    """
    known = known_scene(scene, medium)
    if known is not None:
        return known
    if _OF_A_QUESTION.fullmatch(scene):
        return None
    parts = PurePosixPath(medium).parts
    return f"{parts[0]}/{scene}" if len(parts) > 1 and not scene.startswith(parts[0]) else scene
