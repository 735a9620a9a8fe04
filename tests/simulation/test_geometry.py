"""Depth, poses and scene table describe one and the same room."""

from __future__ import annotations

import numpy as np

from geovr.simulation.furniture import CATEGORIES, unit_mesh
from tests.simulation.conftest import HEIGHT, WIDTH, Rendered


def _unproject(truth: dict, frame: int) -> np.ndarray:
    """World points (H, W, 3), from the written tensors alone."""
    depth = truth["depth_NHW"][frame].astype(np.float64)
    intrinsics = truth["intrinsics_N33"][frame].astype(np.float64)
    height, width = depth.shape
    column, row = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([column, row, np.ones_like(row)], -1) @ np.linalg.inv(intrinsics).T
    camera = rays * depth[..., None]
    world_from_camera = np.linalg.inv(truth["camera_from_world_N44"][frame].astype(np.float64))
    return camera @ world_from_camera[:3, :3].T + world_from_camera[:3, 3]


def test_unprojected_points_lie_on_the_rooms_planes(rendered: Rendered) -> None:
    for scene in rendered.scenes[::8]:
        truth, room = rendered.truth(scene), scene["room"]
        for frame in range(scene["frames"]):
            points = _unproject(truth, frame)[truth["instance_NHW"][frame] == 0]
            x, y, z = points.T
            gaps = np.stack(
                [
                    np.abs(np.abs(x) - room["width"] / 2),
                    np.abs(np.abs(y) - room["depth"] / 2),
                    np.abs(z),
                    np.abs(z - room["height"]),
                ]
            )
            assert gaps.min(axis=0).max() < 1e-4
            assert np.abs(x).max() < room["width"] / 2 + 1e-4
            assert np.abs(y).max() < room["depth"] / 2 + 1e-4
            assert z.min() > -1e-4 and z.max() < room["height"] + 1e-4


def test_unprojected_furniture_lies_in_its_own_box(rendered: Rendered) -> None:
    for scene in rendered.scenes[::8]:
        truth = rendered.truth(scene)
        for frame in range(scene["frames"]):
            points, ids = _unproject(truth, frame), truth["instance_NHW"][frame]
            for piece in np.unique(ids[ids > 0]):
                item = scene["objects"][piece - 1]
                offset = points[ids == piece] - np.array(item["centre"])
                turn = -np.radians(item["yaw_degrees"])
                back = np.array(
                    [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
                )
                assert (np.abs(offset @ back.T) <= np.array(item["size"]) / 2 + 1e-3).all()


def test_frames_agree_on_what_hides_what(rendered: Rendered) -> None:
    """A point seen in one frame is never in front of what another frame sees at its place."""
    for scene in rendered.scenes[::20]:
        truth = rendered.truth(scene)
        points = _unproject(truth, 0).reshape(-1, 3)
        pose = truth["camera_from_world_N44"][1].astype(np.float64)
        camera = points @ pose[:3, :3].T + pose[:3, 3]
        camera = camera[camera[:, 2] > 0.2]
        pixel = camera @ truth["intrinsics_N33"][1].astype(np.float64).T
        column, row = np.floor(pixel[:, :2] / pixel[:, 2:]).astype(int).T
        inside = (column >= 1) & (column < WIDTH - 1) & (row >= 1) & (row < HEIGHT - 1)
        column, row, depth = column[inside], row[inside], camera[inside, 2]
        # The nearest depth among the 3x3 pixels around: a margin for the size of a pixel.
        seen = truth["depth_NHW"][1]
        around = np.min(
            [seen[row + dy, column + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0
        )
        assert len(depth) > 100
        assert (depth >= around * 0.98).mean() > 0.995


def test_poses_are_rigid_and_the_eye_height_is_stable(rendered: Rendered) -> None:
    for scene in rendered.scenes:
        truth = rendered.truth(scene)
        poses = truth["camera_from_world_N44"].astype(np.float64)
        rotation = poses[:, :3, :3]
        assert np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max() < 1e-5
        assert np.abs(np.linalg.det(rotation) - 1).max() < 1e-5
        assert (poses[:, 3] == [0, 0, 0, 1]).all()
        centre = np.linalg.inv(poses)[:, :3, 3]
        assert np.abs(centre[:, 2] - 1.5).max() < 1e-5
        # Camera y points down and x is level: nobody tilts the camera sideways.
        assert (rotation[:, 1, 2] < 0).all() and np.abs(rotation[:, 0, 2]).max() < 1e-6


def test_field_of_view_is_in_its_narrow_range(rendered: Rendered) -> None:
    for scene in rendered.scenes:
        intrinsics = rendered.truth(scene)["intrinsics_N33"]
        fov = np.degrees(2 * np.arctan(WIDTH / 2 / intrinsics[:, 0, 0]))
        assert ((fov > 79.9) & (fov < 98.1)).all() and np.ptp(fov) == 0


def test_the_camera_keeps_clear_of_walls_and_furniture(rendered: Rendered) -> None:
    for scene in rendered.scenes:
        truth, room = rendered.truth(scene), scene["room"]
        centre = np.linalg.inv(truth["camera_from_world_N44"].astype(np.float64))[:, :2, 3]
        half_room = np.array([room["width"], room["depth"]]) / 2
        assert (half_room - np.abs(centre)).min() > 0.3
        for item in scene["objects"]:
            width, depth, _ = item["size"]
            half = np.array([depth, width] if item["yaw_degrees"] % 180 else [width, depth]) / 2
            outside = np.maximum(np.abs(centre - np.array(item["centre"][:2])) - half, 0)
            assert np.hypot(*outside.T).min() > 0.39


def test_furniture_stands_inside_the_room_and_nothing_overlaps(rendered: Rendered) -> None:
    for scene in rendered.scenes:
        boxes = []
        for item in scene["objects"]:
            width, depth, height = item["size"]
            half = np.array([depth, width] if item["yaw_degrees"] % 180 else [width, depth]) / 2
            low, high = np.array(item["centre"][:2]) - half, np.array(item["centre"][:2]) + half
            limit = np.array([scene["room"]["width"], scene["room"]["depth"]]) / 2
            assert (np.abs([low, high]) < limit).all() and height < scene["room"]["height"]
            assert all(((low > h) | (high < o)).any() for o, h in boxes)
            boxes.append((low, high))


def test_shapes_fill_the_unit_box_their_sizes_refer_to() -> None:
    for category in CATEGORIES:
        vertices, faces = unit_mesh(category.name)
        assert vertices.min(axis=0).round(6).tolist()[2] == 0.0
        assert np.ptp(vertices, axis=0).max() <= 1.0 + 1e-9
        assert np.ptp(vertices, axis=0).min() >= 0.85
        assert faces.max() < len(vertices)
