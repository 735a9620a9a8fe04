"""Small worlds of boxes, and a ray caster of their own, to check the questions about rooms with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import trimesh

from geovr.simulation.question import Question
from geovr.simulation.rooms.questions import Asked, ask
from geovr.simulation.rooms.world import FurnishedRoom, Seen, Thing

CATEGORIES = (
    "sofa", "table", "bed", "wardrobe", "lamp", "desk", "bookshelf", "stool", "plant", "trash bin",
    "tv stand", "dresser", "chest", "piano",
)  # fmt: skip
EYE, HEIGHT, WIDTH = 1.5, 60, 80
CEILING = 2.6


def box(category: str, x: float, y: float, size: tuple, yaw: float = 0.0, z: float = 0.0) -> Thing:
    """A box whose bottom is at z."""
    mesh = trimesh.creation.box(extents=size)
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])
    centre = np.array([x, y, z + size[2] / 2])
    vertices = np.asarray(mesh.vertices) @ turn.T + centre
    faces = np.asarray(mesh.faces, dtype=np.int64)
    colour = np.full((len(faces), 3), 0.5, dtype=np.float32)
    return Thing(category, vertices, faces, colour, centre, size, yaw)


def rectangle(width: float, depth: float) -> np.ndarray:
    x, y = width / 2, depth / 2
    return np.array([[-x, -y], [x, -y], [x, y], [-x, y]])


def ell(width: float, depth: float, cut: float) -> np.ndarray:
    """A rectangle without its corner at +x, +y."""
    x, y = width / 2, depth / 2
    return np.array([[-x, -y], [x, -y], [x, y - cut], [x - cut, y - cut], [x - cut, y], [-x, y]])


def look(position: np.ndarray, heading: float, pitch: float = 0.35) -> np.ndarray:
    """Camera-from-world of a camera that looks along a heading, a little down."""
    forward = np.array(
        [np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), -np.sin(pitch)]
    )
    right = np.array([np.sin(heading), -np.cos(heading), 0.0])
    rotation = np.stack([right, np.cross(forward, right), forward])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ position
    return pose


def render(
    room: FurnishedRoom, poses: np.ndarray, width: int = WIDTH, height: int = HEIGHT
) -> Seen:
    """Depth and instance of every pixel, by slabs for boxes and planes for the shell."""
    focal = width / 2 / np.tan(np.radians(40))
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    y, x = np.mgrid[:height, :width] + 0.5
    camera_rays = np.stack([(x - width / 2) / focal, (y - height / 2) / focal, np.ones_like(x)], -1)
    depths, instances = [], []
    for pose in poses:
        rotation = pose[:3, :3]
        origin = -rotation.T @ pose[:3, 3]
        rays = camera_rays @ rotation
        depth = _shell(room, origin, rays)
        instance = np.zeros(depth.shape, dtype=np.uint8)
        for number, thing in enumerate(room.things, start=1):
            hit = _slab(thing, origin, rays)
            instance[hit < depth] = number
            depth = np.minimum(depth, hit)
        depths.append(depth)
        instances.append(instance)
    return Seen(
        np.stack(poses),
        intrinsics,
        np.stack(depths).astype(np.float32),
        np.stack(instances),
        np.arange(len(poses)) / 2.0,
    )


def _slab(thing: Thing, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
    cosine, sine = np.cos(thing.yaw), np.sin(thing.yaw)
    own = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1.0]])
    start, direction = own @ (origin - thing.centre_3), rays @ own.T
    half = np.asarray(thing.size_3) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = (-half - start) / direction, (half - start) / direction
    near = np.nanmax(np.minimum(one, two), axis=-1)
    far = np.nanmin(np.maximum(one, two), axis=-1)
    return np.where((near <= far) & (near > 0), near, np.inf)


def _shell(room: FurnishedRoom, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.maximum(-origin[2] / rays[..., 2], (room.height - origin[2]) / rays[..., 2])
        for start, end in zip(room.floor_P2, np.roll(room.floor_P2, -1, axis=0), strict=True):
            normal = np.array([end[1] - start[1], start[0] - end[0]])
            hit = ((start - origin[:2]) @ normal) / (rays[..., :2] @ normal)
            along = (origin[:2] + hit[..., None] * rays[..., :2] - start) @ (end - start)
            on = (hit > 0) & (along >= 0) & (along <= (end - start) @ (end - start))
            best = np.where(on, np.minimum(best, hit), best)
    return best


def turning(frames: int = 16, start: float = 0.0) -> np.ndarray:
    """A whole turn in the room's middle, on a small circle."""
    headings = start + np.linspace(0, 2 * np.pi, frames, endpoint=False)
    centres = [np.array([0.25 * np.cos(a + 2), 0.25 * np.sin(a + 2), EYE]) for a in headings]
    return np.stack([look(c, a) for c, a in zip(centres, headings, strict=True)])


def painted(room: FurnishedRoom, pixels: list[list[int]] | None = None) -> Seen:
    """Frames from high above that hold the whole room; of thing k, frame n shows pixels[n][k]
    pixels of 4,000, or 20 of each in three frames.
    """
    numbers = np.arange(1, len(room.things) + 1)
    frames = []
    for counts in pixels or [[20] * len(numbers)] * 3:
        frame = np.zeros(4000, dtype=np.uint8)
        shown = np.repeat(numbers, counts)
        frame[: len(shown)] = shown
        frames.append(frame.reshape(50, 80))
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[2, 3] = 30.0
    intrinsics = np.array([[60.0, 0, 40], [0, 60, 25], [0, 0, 1]])
    depth = np.full((len(frames), 50, 80), 30, dtype=np.float32)
    poses = np.stack([pose] * len(frames))
    return Seen(poses, intrinsics, depth, np.stack(frames), np.arange(len(frames)) / 2)


def random_world(seed: int) -> tuple[FurnishedRoom, Seen]:
    """A room of random boxes that keep clear of each other and of its middle."""
    rng = np.random.default_rng([5, seed])
    width, depth = rng.uniform(5.0, 8.0, 2)
    floor = rectangle(width, depth) if seed % 3 else ell(width, depth, min(width, depth) * 0.3)
    things: list[Thing] = []
    wanted = list(rng.permutation(CATEGORIES)[:11]) + ["chair"] * int(rng.integers(0, 5))
    for category in wanted:
        for _ in range(60):
            size = tuple(float(s) for s in rng.uniform([0.3, 0.3, 0.3], [1.4, 0.8, 1.4]))
            radius = float(np.hypot(size[0], size[1])) / 2
            x, y = (rng.uniform(-0.5, 0.5, 2) * (width, depth)).tolist()
            far = all(
                np.hypot(x - t.centre_3[0], y - t.centre_3[1])
                > radius + np.hypot(*t.size_3[:2]) / 2 + 0.05
                for t in things
            )
            corner = abs(x) < width / 2 - radius and abs(y) < depth / 2 - radius
            if len(floor) == 6:
                cut = min(width, depth) * 0.3
                corner &= x < width / 2 - cut - radius or y < depth / 2 - cut - radius
            if far and corner and np.hypot(x, y) > radius + 0.6:
                things.append(box(str(category), x, y, size, float(rng.uniform(0, 2 * np.pi))))
                break
    room = FurnishedRoom(floor, CEILING, tuple(things), None)
    return room, render(room, turning(start=float(rng.uniform(0, 2 * np.pi))))


def rotated(room: FurnishedRoom, seen: Seen, angle: float) -> tuple[FurnishedRoom, Seen]:
    """The same world, turned about z and shifted; the images stay."""
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]]
    )
    shift = np.array([0.7, -1.3, 0.0])
    things = tuple(
        replace(
            thing,
            vertices_V3=thing.vertices_V3 @ turn.T + shift,
            centre_3=turn @ thing.centre_3 + shift,
            yaw=thing.yaw + angle,
        )
        for thing in room.things
    )
    back = np.eye(4)
    back[:3, :3], back[:3, 3] = turn.T, -turn.T @ shift
    floor = room.floor_P2 @ turn[:2, :2].T + shift[:2]
    return (
        replace(room, floor_P2=floor, things=things),
        replace(seen, camera_from_world_N44=seen.camera_from_world_N44 @ back),
    )


def mirrored(room: FurnishedRoom, seen: Seen) -> tuple[FurnishedRoom, Seen]:
    """The world in a mirror: x becomes -x, and the images are flipped."""
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    things = tuple(
        replace(
            thing,
            vertices_V3=thing.vertices_V3 * (-1.0, 1.0, 1.0),
            faces_F3=thing.faces_F3[:, ::-1],
            centre_3=thing.centre_3 * (-1.0, 1.0, 1.0),
            yaw=-thing.yaw,
        )
        for thing in room.things
    )
    return (
        replace(room, floor_P2=(room.floor_P2 * (-1.0, 1.0))[::-1], things=things),
        replace(
            seen,
            camera_from_world_N44=flip @ seen.camera_from_world_N44 @ flip,
            depth_NHW=seen.depth_NHW[:, :, ::-1],
            instance_NHW=seen.instance_NHW[:, :, ::-1],
        ),
    )


@dataclass(frozen=True, eq=False)
class Case:
    room: FurnishedRoom
    seen: Seen
    asked: Asked

    def of_kind(self, kind: str) -> list[Question]:
        return [question for question in self.asked.questions if question.kind == kind]

    def thing(self, name: str) -> Thing:
        """The only thing of that name."""
        (found,) = [thing for thing in self.room.things if thing.category == name]
        return found

    def middle(self, name: str) -> complex:
        """Middle of a thing's vertices' extent seen from above, along its own axes."""
        return middle_of(self.thing(name))


def middle_of(thing: Thing) -> complex:
    turn = np.exp(1j * thing.yaw)
    own = (thing.vertices_V3[:, 0] + 1j * thing.vertices_V3[:, 1]) / turn
    x, y = own.real, own.imag
    return complex((x.min() + x.max() + 1j * (y.min() + y.max())) / 2 * turn)


def case(room: FurnishedRoom, seen: Seen, index: int = 0) -> Case:
    return Case(room, seen, ask(room, seen, np.random.default_rng([7, index]), index))


@cache
def cases() -> list[Case]:
    """Thirty random worlds and their questions."""
    return [case(*random_world(seed), index=seed) for seed in range(30)]


def texts(question: Question) -> dict[str, str]:
    """Letter to text."""
    return dict(option.split(". ", 1) for option in question.options or ())
