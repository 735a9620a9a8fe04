"""One furnished room: planned, furnished, walked through, rendered, asked about and written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geovr.simulation.layouts import DATASET
from geovr.simulation.record import Record, SceneSpec
from geovr.simulation.rooms import render
from geovr.simulation.rooms.arrange import Source, arrange
from geovr.simulation.rooms.catalogue import Catalogue, open_catalogue
from geovr.simulation.rooms.furniture import draw
from geovr.simulation.rooms.plan import Plan, draw_plan
from geovr.simulation.rooms.questions import Asked, ask
from geovr.simulation.rooms.shell import FLOOR, build_shell
from geovr.simulation.rooms.stroll import Stroll, free_floor, stroll
from geovr.simulation.rooms.world import FurnishedRoom, Seen
from geovr.simulation.writing import write_scene

LEAST_THINGS = 6
ROOMS_TRIED, STROLLS_TRIED = 8, 4
GLANCE = (48, 64)
"""Height and width of the pictures by which a walk is judged before it is rendered."""
SEEN_PIXELS = 6
"""Of a glance, that show a thing."""
LEAST_THINGS_SEEN, LEAST_FLOOR_SEEN = 0.9, 0.8
FLOOR_CELL_M = 0.4


@dataclass(frozen=True)
class Drawn:
    """A room and a walk that shows it, with the shares of things and floor that are seen."""

    plan: Plan
    room: FurnishedRoom
    walk: Stroll
    scene: render.Scene
    things_seen: float
    floor_seen: float
    attempt: int

    @property
    def enough(self) -> bool:
        """Whether the walk shows every region."""
        return self.things_seen >= LEAST_THINGS_SEEN and self.floor_seen >= LEAST_FLOOR_SEEN


def make_room_scene(spec: SceneSpec, output: Path, furniture: Path | None) -> Record:
    """Make one scene's files and give its record.

    Args:
        spec: of the scene; its `furniture` is the digest of the libraries.
        output: directory of all scenes.
        furniture: directory of furniture libraries, None for our own forms.
    """
    catalogue = None
    if furniture is not None and spec.furniture is not None:
        catalogue = open_catalogue(furniture, spec.furniture).for_scene()
    drawn, rng = draw_scene(spec, catalogue)
    intrinsics_33 = render.intrinsics(drawn.walk.hfov, spec.height, spec.width)
    shape = (spec.frames, spec.height, spec.width)
    rgb_NHWC = np.empty((*shape, 3), np.uint8)
    depth_NHW, instance_NHW = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    for number, pose_44 in enumerate(drawn.walk.camera_from_world_N44):
        frame = render.cast(drawn.scene, pose_44, intrinsics_33, spec.height, spec.width)
        rgb_NHWC[number] = render.shade(drawn.scene, frame)
        depth_NHW[number], instance_NHW[number] = frame.depth_HW, frame.instance_HW
    poses, times = drawn.walk.camera_from_world_N44, np.arange(spec.frames) / spec.fps
    seen = Seen(poses, intrinsics_33, depth_NHW, instance_NHW, times)
    asked = ask(drawn.room, seen, rng, spec.index)
    tensors: dict[str, npt.NDArray[Any]] = {
        "camera_from_world_N44": poses.astype(np.float32),
        "intrinsics_N33": np.repeat(intrinsics_33[None], spec.frames, axis=0).astype(np.float32),
        "depth_NHW": depth_NHW,
        "instance_NHW": instance_NHW,
    }
    return write_scene(spec, output, rgb_NHWC, tensors, _record(spec, drawn, asked, catalogue))


def draw_scene(spec: SceneSpec, catalogue: Catalogue | None) -> tuple[Drawn, np.random.Generator]:
    """The first room whose walk shows all of it, or the one that is shown best."""
    best: tuple[Drawn, np.random.Generator] | None = None
    for attempt in range(ROOMS_TRIED):
        rng = np.random.default_rng(entropy(spec, attempt))
        drawn = _attempt(spec, catalogue, attempt, rng)
        if drawn is None:
            continue
        if best is None or _worth(drawn) > _worth(best[0]):
            best = drawn, rng
        if drawn.enough:
            break
    if best is None:
        raise RuntimeError(f"{spec.name}: no room with free floor was found")
    return best


def _worth(drawn: Drawn) -> float:
    return min(drawn.things_seen, LEAST_THINGS_SEEN) + min(drawn.floor_seen, LEAST_FLOOR_SEEN)


def entropy(spec: SceneSpec, attempt: int) -> list[int]:
    """What a scene's random numbers are drawn from."""
    return [spec.seed, ("train", "test").index(spec.split), spec.index, attempt]


def _attempt(
    spec: SceneSpec, catalogue: Catalogue | None, attempt: int, rng: np.random.Generator
) -> Drawn | None:
    plan = draw_plan(rng)
    source: Source = draw if catalogue is None else catalogue.draw
    things = arrange(plan, source, rng)
    floor = free_floor(plan, things)
    if floor is None or len(things) < LEAST_THINGS:
        return None
    room = FurnishedRoom(plan.floor_P2, plan.height, things, build_shell(plan, rng))
    scene = render.build_scene(room)
    best: Drawn | None = None
    for number in range(STROLLS_TRIED):
        walk = stroll(floor, spec.frames, spec.fps, rng, around=1 + 0.25 * number)
        things_seen, floor_seen = _glance(room, scene, walk)
        drawn = Drawn(plan, room, walk, scene, things_seen, floor_seen, attempt)
        if best is None or _worth(drawn) > _worth(best):
            best = drawn
        if drawn.enough:
            break
    return best


def _glance(room: FurnishedRoom, scene: render.Scene, walk: Stroll) -> tuple[float, float]:
    """Shares of things, and of floor that is not below furniture, that small pictures show."""
    height, width = GLANCE
    intrinsics_33 = render.intrinsics(walk.hfov, height, width)
    shown = np.zeros(len(room.things), bool)
    cells: set[tuple[int, int]] = set()
    for pose_44 in walk.camera_from_world_N44:
        frame = render.cast(scene, pose_44, intrinsics_33, height, width)
        pixels = np.bincount(frame.instance_HW.ravel(), minlength=len(room.things) + 1)
        shown |= pixels[1:] >= SEEN_PIXELS
        ground = frame.point_R3[(scene.material_F == FLOOR)[frame.face_R], :2]
        cells.update(map(tuple, np.unique(np.floor(ground / FLOOR_CELL_M).astype(int), axis=0)))
    free = _floor_cells(room)
    return float(shown.mean()), len(cells & free) / max(len(free), 1)


def _floor_cells(room: FurnishedRoom) -> set[tuple[int, int]]:
    """Cells whose middle lies on free floor, away from walls and furniture."""
    low, high = room.floor_P2.min(axis=0), room.floor_P2.max(axis=0)
    first, last = np.floor(low / FLOOR_CELL_M).astype(int), np.ceil(high / FLOOR_CELL_M).astype(int)
    index = np.stack(
        np.meshgrid(np.arange(first[0], last[0]), np.arange(first[1], last[1]), indexing="ij"), -1
    ).reshape(-1, 2)
    middles = (index + 0.5) * FLOOR_CELL_M
    free = _inside(middles, room.floor_P2)
    for thing in room.things:
        cos, sin = np.cos(thing.yaw), np.sin(thing.yaw)
        offset = middles - thing.centre_3[:2]
        own = np.stack([offset @ [cos, sin], offset @ [-sin, cos]], axis=1)
        free &= (np.abs(own) > np.array(thing.size_3[:2]) / 2 + 0.1).any(axis=1)
    return {(int(x), int(y)) for x, y in index[free]}


def _inside(points_G2: npt.NDArray[Any], floor_P2: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Even-odd rule."""
    inside = np.zeros(len(points_G2), bool)
    for begin, end in zip(floor_P2, np.roll(floor_P2, -1, axis=0), strict=True):
        above = (begin[1] > points_G2[:, 1]) != (end[1] > points_G2[:, 1])
        if begin[1] != end[1]:
            share = (points_G2[:, 1] - begin[1]) / (end[1] - begin[1])
            inside ^= above & (points_G2[:, 0] < begin[0] + share * (end[0] - begin[0]))
    return inside


def _record(spec: SceneSpec, drawn: Drawn, asked: Asked, catalogue: Catalogue | None) -> Record:
    from dataclasses import asdict

    room = drawn.room
    x, y = room.floor_P2.T
    area = float(abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2)
    objects = []
    for thing in room.things:
        told: dict[str, Any] = {
            "category": thing.category,
            "centre": [float(v) for v in thing.centre_3],
            "size": [float(v) for v in thing.size_3],
            "yaw_degrees": float(np.degrees(thing.yaw)),
        }
        objects.append(told | ({"source": thing.source} if thing.source else {}))
    extra = {"refused_models": catalogue.refused} if catalogue is not None else {}
    return {
        "key": spec.key,
        "scene": spec.name,
        "split": spec.split,
        "seed": entropy(spec, drawn.attempt),
        "room": {
            "type": drawn.plan.type,
            "floor": [[float(v) for v in corner] for corner in room.floor_P2],
            "height": room.height,
            "floor_area": area,
            "things_seen": drawn.things_seen,
            "floor_seen": drawn.floor_seen,
        },
        "objects": objects,
        "frames": spec.frames,
        "fps": spec.fps,
        "height": spec.height,
        "width": spec.width,
        "video": f"videos/{DATASET}/{spec.name}.mp4",
        "ground_truth": f"ground_truth/{spec.name}.safetensors",
        "questions": [asdict(question) for question in asked.questions],
        "refused_questions": asked.refused,
        **extra,
    }
