"""`geovr simulate`: rooms rendered to video files, with questions and exact ground truth."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from geovr.config import Config
from geovr.errors import Interrupted, UserError
from geovr.progress import progress, tracked

if TYPE_CHECKING:
    from geovr.simulation.record import Record, SceneSpec

log = logging.getLogger("geovr")

PRESETS: dict[str, dict[str, Any]] = {
    "demo": {"train": 1500, "test": 200, "size": "64x48", "frames": 8, "fps": 2},
    "study": {"train": 6000, "test": 800, "size": "64x64", "frames": 8, "fps": 2},
    "rooms": {"train": 160, "test": 40, "size": "256x192", "frames": 48, "fps": 4},
}
LEAST_SIDE, MOST_SIDE = 16, 2048
CHUNK = 8
"""Scenes a worker makes between two reports."""

CONVENTIONS = (
    "World: metres, z up, floor at z = 0, origin at the floor's centre; width runs along x, "
    "depth along y. Objects: size is width, depth, height along the object's own axes, which are "
    "turned by yaw_degrees counter-clockwise about z. Cameras: OpenCV, camera-from-world. "
    "instance_NHW: 0 is the room, k is objects[k - 1]. seed: entropy of numpy's default_rng."
)


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
    from geovr.simulation.tally import lines

    output = config.output
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: --output is a file; give a directory")
    if config.scene_count("train") + config.scene_count("test") == 0:
        raise UserError("scenes: 0 train and 0 test scenes leave nothing to make; ask for some")
    start = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    specs = _specs(config)
    _remove_strangers(output, {spec.name for spec in specs})

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
        for record in _make(missing, make, config.processes):
            records[record["scene"]] = record
            bar.advance()
    seconds_making = time.monotonic() - making
    ordered = [records[spec.name] for spec in specs]
    if config.preview:
        _preview(output, ordered)
    counts = _write_tables(config, output, ordered)
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
        summary["made"], kept, sum(counts["questions"].values()), summary["seconds"],
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


def _remove_strangers(output: Path, wanted: set[str]) -> None:
    """Delete scenes of an earlier run with other counts, and the temporary files a kill left.

    Left in place, such scenes would be ingested as videos without questions. Whatever else is in
    the directory stays.
    """
    from geovr.simulation.record import read_record, video_path

    for path in sorted((output / "ground_truth").glob("*.safetensors")):
        if path.stem not in wanted and read_record(path) is not None:
            video_path(output, path.stem).unlink(missing_ok=True)
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
    from geovr.simulation.scene import make_scene

    return make_scene(spec, output)


def _make(
    specs: list[SceneSpec], make: Callable[[SceneSpec], Record], processes: int
) -> Iterator[Record]:
    """Make scenes on worker processes and yield their records in order."""
    chunk = 1 if specs and specs[0].world == "rooms" else CHUNK
    processes = processes or len(os.sched_getaffinity(0))
    processes = min(processes, -(-len(specs) // chunk))
    if processes <= 1:
        for spec in specs:
            yield make(spec)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # Spawned, not forked: the parent may hold threads of embree, BLAS or a progress bar.
    pool = ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), initializer=_end_with_parent
    )
    try:
        yield from pool.map(make, specs, chunksize=chunk)
    except BrokenProcessPool:
        raise Interrupted(
            "simulate: a worker process was killed (out of memory?); complete scenes are kept: "
            "run the same command again, with fewer --processes if it repeats"
        ) from None
    except KeyboardInterrupt:
        raise Interrupted(
            "simulate: interrupted; complete scenes are kept: run the same command again"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Let a worker end when its parent is killed, which would leave it waiting for ever."""
    import multiprocessing
    import signal
    import threading

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _write_tables(config: SimulateConfig, output: Path, records: list[Record]) -> dict[str, Any]:
    import json

    from geovr.simulation.layouts import jsonl, vsi_590k_row, vsi_bench_row
    from geovr.simulation.tally import tally
    from geovr.storage import write_atomic

    train = [(r["scene"], q) for r in records if r["split"] == "train" for q in r["questions"]]
    test = [(r["scene"], q) for r in records if r["split"] == "test" for q in r["questions"]]
    write_atomic(output / "train_questions.jsonl", jsonl([vsi_590k_row(*pair) for pair in train]))
    write_atomic(
        output / "test_questions.jsonl",
        jsonl([vsi_bench_row(number, *pair) for number, pair in enumerate(test)]),
    )
    scenes = [{k: v for k, v in r.items() if k not in ("key", "questions")} for r in records]
    table: dict[str, Any] = {
        "version": 1,
        "preset": config.preset,
        "seed": config.seed,
        "conventions": CONVENTIONS,
        "scenes": scenes,
    }
    if config.furniture is not None:
        from geovr.simulation.rooms.catalogue import Catalogue

        table["furniture"] = Catalogue.open(config.furniture).summary()
    write_atomic(output / "scenes.json", (json.dumps(table, indent=1) + "\n").encode())
    return {"scenes": dict(sorted(Counter(r["split"] for r in records).items())), **tally(records)}
