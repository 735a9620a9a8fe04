"""A contact sheet of a scene: frames, depth, instances, and the plan with the camera's path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from safetensors.numpy import load_file

from geovr.simulation.record import Record, truth_path, video_path

COLUMNS, LARGE, MARGIN = 4, 192, 3
"""Frames shown, the least height at which they are shown, and the paper around each."""
_INK, _PAPER, _PATH = (40, 40, 44), (250, 250, 248), (200, 60, 30)


def write_preview(output: Path, record: Record) -> Path:
    """Write preview/<scene>.png of a complete scene; gives its place."""
    with av.open(str(video_path(output, record["scene"]))) as container:
        rgb = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    truth = load_file(truth_path(output, record["scene"]))
    chosen = np.linspace(0, len(rgb) - 1, COLUMNS).round().astype(int)
    scale = max(1, -(-LARGE // rgb[0].shape[0]))
    depth, instance = truth["depth_NHW"][chosen], truth["instance_NHW"][chosen]
    rows = [
        np.concatenate([_larger(picture, scale) for picture in pictures], axis=1)
        for pictures in ([rgb[k] for k in chosen], _depths(depth), _instances(instance))
    ]
    sheet = np.concatenate(rows)
    plan = _plan(record, truth["camera_from_world_N44"], sheet.shape[0])
    path = output / "preview" / f"{record['scene']}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate([sheet, plan], axis=1)).save(path, optimize=True)
    return path


def _larger(picture: npt.NDArray[np.uint8], scale: int) -> npt.NDArray[np.uint8]:
    large = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    edge = ((MARGIN, MARGIN), (MARGIN, MARGIN))
    return np.stack(
        [np.pad(large[..., k], edge, constant_values=_PAPER[k]) for k in range(3)], axis=-1
    )


def _depths(depth_NHW: npt.NDArray[np.float32]) -> list[npt.NDArray[np.uint8]]:
    """Near is light, far is dark, on one scale."""
    share = np.clip(depth_NHW / np.percentile(depth_NHW, 98), 0, 1)[..., None]
    near, far = np.array([255, 236, 190]), np.array([30, 22, 70])
    return list((near + (far - near) * share**0.7).astype(np.uint8))


def _instances(instance_NHW: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    palette = np.random.default_rng(5).integers(60, 250, (256, 3)).astype(np.uint8)
    palette[0] = 225
    return list(palette[instance_NHW])


def _plan(
    record: Record, camera_from_world_N44: npt.NDArray[Any], side: int
) -> npt.NDArray[np.uint8]:
    """The room from above: floor, furniture with names, and the camera's way with its views."""
    room = record["room"]
    if "floor" in room:
        floor = np.array(room["floor"])
    else:
        x, y = room["width"] / 2, room["depth"] / 2
        floor = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    middle, extent = (floor.min(0) + floor.max(0)) / 2, float(np.ptp(floor, axis=0).max())
    scale = 0.9 * side / extent

    def at(points: npt.NDArray[Any]) -> list[tuple[float, float]]:
        moved = (np.asarray(points) - middle) * scale
        return [(side / 2 + float(x), side / 2 - float(y)) for x, y in moved]

    image = Image.new("RGB", (side, side), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.polygon(at(floor), outline=_INK, width=3)
    for thing in record["objects"]:
        half = np.array(thing["size"][:2]) / 2
        angle = np.radians(thing["yaw_degrees"])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corners = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        draw.polygon(at(corners @ turn.T + thing["centre"][:2]), fill=(228, 226, 218), outline=_INK)
        draw.text(at(np.array([thing["centre"][:2]]))[0], thing["category"], fill=_INK, anchor="mm")
    rotation = camera_from_world_N44[:, :3, :3]
    centre = -(np.transpose(rotation, (0, 2, 1)) @ camera_from_world_N44[:, :3, 3:])[:, :2, 0]
    places = at(centre)
    draw.line(places, fill=_PATH, width=3)
    for index in np.linspace(0, len(places) - 1, 9).round().astype(int):
        ahead = at(centre[index : index + 1] + 0.35 * rotation[index, 2, :2])
        draw.line([places[index], ahead[0]], fill=_PATH, width=1)
    x, y = places[0]
    draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=_PATH)
    return np.asarray(image)
