"""`geovr simulate`: rooms rendered to video files, with questions and exact ground truth."""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from geovr.config import Config
from geovr.errors import UserError
from geovr.progress import progress, tracked
from geovr.simulation.pool import spread

if TYPE_CHECKING:
    from geovr.simulation.record import ObjectQuestions, Record, SceneSpec

log = logging.getLogger("geovr")

PRESETS: dict[str, dict[str, Any]] = {
    "demo": {"train": 1500, "test": 200, "size": "64x48", "frames": 8, "fps": 2},
    "study": {"train": 6000, "test": 800, "size": "64x64", "frames": 8, "fps": 2},
    "rooms": {"train": 160, "test": 40, "size": "256x192", "frames": 48, "fps": 4},
}
LEAST_SIDE, MOST_SIDE = 16, 2048
CHUNK = 8
"""Scenes a worker makes between two reports."""


class SimulateConfig(Config):
    """What to render, and where to write it. `processes` never changes what is written."""

    preset: Literal["demo", "study", "rooms"] = Field(
        "demo",
        description="demo: 1,500 + 200 scenes of 64x48; study: 6,000 + 800 of 64x64; rooms: 160 +"
        " 40 furnished rooms of 256x192.",
    )
    output: Path = Field(description="Directory to write to; complete scenes in it are kept.")
    seed: int = Field(0, ge=0, description="Same seed, same scenes and questions.")
    train_scenes: int | None = Field(None, ge=0, description="Instead of the preset's count.")
    test_scenes: int | None = Field(None, ge=0, description="Instead of the preset's count.")
    size: str | None = Field(
        None, description="Width x height in pixels, such as 64x48, instead of the preset's."
    )
    frames: int | None = Field(
        None, ge=2, le=1024, description="Frames of each video, instead of the preset's."
    )
    furniture: Path | None = Field(
        None, description="Directory of Sweet Home 3D's furniture libraries, for preset rooms."
    )
    preview: bool = Field(False, description="Write a contact sheet of each scene to preview/.")
    processes: int = Field(0, ge=0, description="Worker processes; 0: one for each core.")

    @model_validator(mode="after")
    def _furniture_stands_in_rooms(self) -> Self:
        if self.furniture is not None and self.preset != "rooms":
            raise ValueError("furniture: only preset rooms takes furniture libraries; leave it out")
        return self

    @field_validator("size")
    @classmethod
    def _readable_size(cls, value: str | None) -> str | None:
        if value is not None:
            _parse_size(value)
        return value

    @property
    def width_height(self) -> tuple[int, int]:
        """Frame width and height in pixels."""
        return _parse_size(self.size or PRESETS[self.preset]["size"])

    def scene_count(self, split: Literal["train", "test"]) -> int:
        """How many scenes a split has."""
        override = self.train_scenes if split == "train" else self.test_scenes
        return int(PRESETS[self.preset][split]) if override is None else override


def _parse_size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ValueError(f"{text!r}: write width x height, such as 64x48")
    sides = int(width), int(height)
    if any(side % 2 or not LEAST_SIDE <= side <= MOST_SIDE for side in sides):
        raise ValueError(
            f"{text!r}: both sides must be even (the video is yuv420p) "
            f"and from {LEAST_SIDE} to {MOST_SIDE}"
        )
    return sides


def simulate(config: SimulateConfig) -> dict[str, Any]:
    """Render all scenes that are not there yet, then write the question files and scenes.json.

    Returns:
        Summary: output, scenes by split, the tally of questions, scenes made and kept,
        frames made, seconds, frames_per_second (of the scenes made, with encoding and writing).

    Raises:
        UserError: when the output can't be a directory.
        Interrupted: when stopped; the complete scenes stay and the same command goes on.
    """
    from geovr.simulation.record import existing
    from geovr.simulation.tables import write_tables
    from geovr.simulation.tally import lines

    output = config.output
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: --output is a file; give a directory")
    if config.scene_count("train") + config.scene_count("test") == 0:
        raise UserError("scenes: 0 train and 0 test scenes leave nothing to make; ask for some")
    start = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    specs = _specs(config)
    boxes = config.preset != "rooms"
    _remove_strangers(output, {spec.name for spec in specs}, boxes)

    records: dict[str, Record] = {}
    for spec in specs:
        record = existing(spec, output)
        if record is not None:
            records[spec.name] = record
    missing = [spec for spec in specs if spec.name not in records]
    kept = len(records)
    making = time.monotonic()
    make = partial(_make_scene, output=output, furniture=config.furniture)
    with progress("simulate", len(specs), "scenes", done=kept) as bar:
        for record in spread(make, missing, config.processes, chunk=CHUNK if boxes else 1):
            records[record["scene"]] = record
            bar.advance()
    seconds_making = time.monotonic() - making
    ordered = [records[spec.name] for spec in specs]
    if config.preview:
        _preview(output, ordered)
    if boxes:
        ordered = _with_object_questions(ordered, output, config.processes)
    counts = write_tables(config, output, ordered)
    frames = sum(spec.frames for spec in missing)
    summary = {
        "output": str(output),
        **counts,
        "made": len(missing),
        "kept": kept,
        "frames": frames,
        "seconds": round(time.monotonic() - start, 2),
        "frames_per_second": round(frames / seconds_making, 1) if frames else 0.0,
    }
    log.info(
        "simulate: %d scenes made, %d kept, %d questions, %.1f s, %.0f frames/s, in %s",
        summary["made"], kept, sum(counts["questions_by_kind"].values()), summary["seconds"],
        summary["frames_per_second"], output,
    )  # fmt: skip
    for line in lines(counts):
        log.info("simulate: %s", line)
    return summary


def _furniture(config: SimulateConfig) -> str | None:
    """Digest of the furniture libraries, which are opened before any scene is made.

    Raises:
        UserError: when there are none, with how to get some.
    """
    if config.furniture is None:
        return None
    from geovr.simulation.rooms.catalogue import Catalogue

    catalogue = Catalogue.open(config.furniture)
    catalogue.log_summary()
    return catalogue.digest


def _specs(config: SimulateConfig) -> list[SceneSpec]:
    from geovr.simulation.record import SceneSpec

    width, height = config.width_height
    splits: tuple[Literal["train", "test"], ...] = ("train", "test")
    preset = PRESETS[config.preset]
    frames, fps = config.frames or preset["frames"], preset["fps"]
    world = "rooms" if config.preset == "rooms" else "boxes"
    furniture = _furniture(config)
    return [
        SceneSpec(config.seed, split, index, frames, fps, height, width, world, furniture)
        for split in splits
        for index in range(config.scene_count(split))
    ]


def _preview(output: Path, records: list[Record]) -> None:
    """A contact sheet of every scene, from its files."""
    from geovr.simulation.preview import write_preview

    for record in tracked(records, "preview", len(records), "sheets"):
        write_preview(output, record)


def _with_object_questions(records: list[Record], output: Path, processes: int) -> list[Record]:
    """Records with the questions that refer to objects, and with what was refused.

    Scenes that an earlier version rendered are asked about now, from their files.
    """
    from geovr.simulation.record import existing_object_questions

    asked = {record["scene"]: existing_object_questions(record, output) for record in records}
    unasked = [record for record in records if asked[record["scene"]] is None]
    work = partial(_ask_scene, output=output)
    with progress("ask", len(records), "scenes", done=len(records) - len(unasked)) as bar:
        found = spread(work, unasked, processes, chunk=CHUNK)
        for record, told in zip(unasked, found, strict=True):
            asked[record["scene"]] = told
            bar.advance()
    return [_joined(record, asked[record["scene"]]) for record in records]


def _joined(record: Record, told: ObjectQuestions | None) -> Record:
    if told is None:
        raise RuntimeError(f"{record['scene']}: nothing was asked about its objects")
    return record | {"object_questions": told["questions"], "refused_questions": told["refused"]}


def _ask_scene(record: Record, output: Path) -> ObjectQuestions:
    """Ask about one scene's objects; what that takes is imported where it is done."""
    from geovr.simulation.object_questions import ask_scene

    return ask_scene(record, output)


def _remove_strangers(output: Path, wanted: set[str], boxes: bool) -> None:
    """Delete scenes of an earlier run with other counts, and the temporary files a kill left.

    Left in place, such scenes would be ingested as videos without questions. Whatever else is in
    the directory stays.
    """
    from geovr.simulation.record import read_record, video_path

    for path in sorted((output / "ground_truth").glob("*.safetensors")):
        if path.stem not in wanted and read_record(path) is not None:
            video_path(output, path.stem).unlink(missing_ok=True)
            path.unlink()
    for path in sorted((output / "object_questions").glob("*.json")):
        if not boxes or path.stem not in wanted:
            path.unlink()
    for path in sorted(output.rglob(".*.tmp")):
        writer = path.name.split(".")[-3]  # .name.pid.random.tmp, as storage.write_atomic has it
        if writer.isdecimal() and not _alive(int(writer)):
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _make_scene(spec: SceneSpec, output: Path, furniture: Path | None) -> Record:
    """Make a scene; the renderer is imported where scenes are made: in the workers."""
    if spec.world == "rooms":
        from geovr.simulation.rooms.scene import make_room_scene

        return make_room_scene(spec, output, furniture)
    from geovr.simulation.object_questions import ask_scene
    from geovr.simulation.scene import make_scene

    record = make_scene(spec, output)
    ask_scene(record, output)
    return record
