"""`geovr plan`: what a parameter file will cost, before anything is spent.

What is known is computed: frames, tokens, parameters, arithmetic, bytes. What isn't, such as how
many clips there will be, is taken from a ClipSet or assumed, and said so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geovr.artifacts import ClipSet
from geovr.config import Config, read_params, stage_values, validate
from geovr.data.input import InputConfig
from geovr.data.order import questions_that_pay
from geovr.data.sampling import SamplerConfig
from geovr.data.target_format import TargetFormat
from geovr.errors import UserError
from geovr.model.flops import SampleShape, step_flops, teacher_flops
from geovr.training.config import TrainConfig

TEXT_PER_SLOT = 11
"""Tokens of a time stamp and of the vision markers around a slot, about."""
BRANCH, LABELS = 120, 6
"""Tokens of a question with its answer, and of the answer, about."""
H100_PEAK_TFLOPS = 989.0


@dataclass(frozen=True)
class Data:
    """How much there is; where from is said in `source`."""

    clips: int
    questions: int
    frames: int
    height: int
    width: int
    source: str


class DataOptions(Config):
    """What is assumed about data that isn't there yet.

    The default is the paper's training data: 374 K questions of VSI-590K about videos and 205 K of
    VLM-3R, over about 6,000 videos of ARKitScenes, ScanNet and others.
    """

    clips: int = 5_963
    questions: int = 579_000
    seconds: float = 60.0
    width: int = 640
    height: int = 480


def frames_of(sampler: SamplerConfig, seconds: float) -> int:
    """Frames that a sampler takes of a video of so many seconds."""
    if sampler.kind in ("fps_floor", "fps_tail"):
        return max(1, int(seconds * sampler.fps))
    if sampler.kind != "fps":
        return sampler.num_frames
    return min(max(round(seconds * sampler.fps), sampler.min_frames), sampler.max_frames)


def read_data(clips: ClipSet) -> Data:
    """The training clips of a ClipSet, of their mean size."""
    questions = clips.questions[clips.questions["split"] == "train"]
    index = clips.index[clips.index["clip_id"].isin(set(questions["clip_id"]))]
    if index.empty:
        raise UserError("--clips: the ClipSet has no clip with a training question")
    return Data(
        clips=len(index),
        questions=len(questions),
        frames=round(float(index["num_frames"].mean())),
        height=round(float(index["height"].mean())),
        width=round(float(index["width"].mean())),
        source="ClipSet",
    )


def make_plan(
    params: Path,
    *,
    clips: ClipSet | None,
    options: DataOptions,
    peak_tflops: float = H100_PEAK_TFLOPS,
    mfu: float = 0.4,
) -> dict[str, dict[str, Any]]:
    """Sections of names and values, numbers as numbers.

    Args:
        params: parameter file or recipe.
        clips: what is ingested already; None to assume `options`.
        options: about data that isn't there yet.
        peak_tflops: of the GPU, dense, in the training's precision.
        mfu: share of the peak that training reaches.
    """
    from geovr.model.architectures import config_of, empty_model
    from geovr.model.geovr import GeoVR
    from geovr.model.lora import add_adapters
    from geovr.training.optim import freeze

    values = read_params(params)
    train = validate(TrainConfig, stage_values(values, "train"), source=f"{params}, section train")
    sampler = validate(
        SamplerConfig, (values.get("ingest") or {}).get("sampler") or {}, source=str(params)
    )
    data = read_data(clips) if clips is not None else _assumed(options, sampler)
    config = config_of(train.base_model)
    backbone = empty_model(config)
    extract = values.get("extract_targets") or {}
    teacher = str(extract.get("teacher", "oracle"))
    shape = _shape(train.input, data, config, teacher, extract)
    heads, objectives = train.heads, train.objectives
    if train.lora is not None:
        add_adapters(backbone, train.lora)
    else:
        freeze(backbone, train.optim)
    import torch

    with torch.device("meta"):
        model = GeoVR(backbone, heads, objectives, shape.feature_dim)
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    learnt = sum(p.numel() for p in model.parameters() if p.requires_grad)
    asked_k = train.questions_per_clip
    if asked_k == "auto":
        asked_k = questions_that_pay(shape.prefix, shape.branch)
    k = max(1, min(asked_k, math.ceil(data.questions / data.clips)))
    rows = math.ceil(data.questions / k)
    per_question: dict[int, float] = {}
    for share in sorted({1, k, 8}):
        counted = step_flops(
            backbone, heads, shape, share,
            train_vision=train.optim.train_vision, geometry=objectives.any,
        )  # fmt: skip
        per_question[share] = counted.total / share
    asked = train.steps * train.clips_per_batch * k
    spent = asked * per_question[k]
    taught = teacher_flops(data.frames, shape.depth_size)
    known = teacher in ("vggt", "vggt_omega")
    hours = 1 / (peak_tflops * 1e12 * mfu * 3600)
    return {
        "data": {
            "from": data.source,
            "clips": data.clips,
            "training questions": data.questions,
            "frames a clip": data.frames,
            "frame size": f"{data.width}x{data.height}",
        },
        "tokens": {
            "time slots a clip": shape.slots,
            "visual tokens a slot": shape.grid[0] * shape.grid[1],
            "prefix of a clip, about": shape.prefix,
            "camera and scale tokens": shape.slots + 1 if objectives.tokens else 0,
            "longest sample, about": shape.prefix + BRANCH + shape.slots + 1,
            "limit (train.input.max_tokens)": train.input.max_tokens or "none",
        },
        "parameters": {
            "trained": learnt,
            "frozen": sum(sizes.values()) - learnt,
            "tokens and heads, not exported": sum(
                n for name, n in sizes.items() if not name.startswith("backbone.")
            ),
        },
        "steps": {
            "optimiser steps": train.steps,
            "questions a step": train.clips_per_batch * k,
            "questions seen": asked,
            "epochs": round(asked / data.questions, 3),
            "rows an epoch": rows,
        },
        "teacher": {
            "who": teacher,
            "calls": data.clips,
            "TFLOP a clip": round(taught / 1e12, 1) if known else "not known",
            "GPU hours": round(data.clips * taught * hours, 2) if known else "not known",
            "bytes of targets": data.clips * target_bytes(shape, extract),
        },
        "training": {
            "TFLOP a question, k = 1": round(per_question[1] / 1e12, 3),
            f"TFLOP a question, k = {k} (this file)": round(per_question[k] / 1e12, 3),
            "TFLOP a question, k = 8": round(per_question[8] / 1e12, 3),
            "cheaper at k = 8 than at k = 1": round(per_question[1] / per_question[8], 2),
            "GPU seconds a question (this file)": round(per_question[k] * hours * 3600, 3),
            "GPU seconds a question, k = 8": round(per_question[8] * hours * 3600, 3),
            "GPU hours": round(spent * hours, 2),
            "GPU hours at k = 8": round(asked * per_question[8] * hours, 2),
            "assumed of the GPU": f"{mfu:.0%} of {peak_tflops:g} TFLOP/s",
            "bytes of a checkpoint": 3 * 4 * learnt,
        },
    }


def _assumed(options: DataOptions, sampler: SamplerConfig) -> Data:
    return Data(
        clips=options.clips,
        questions=options.questions,
        frames=frames_of(sampler, options.seconds),
        height=options.height,
        width=options.width,
        source=f"assumed, videos of {options.seconds:g} s; give --clips for what is ingested",
    )


def _shape(
    shown: InputConfig, data: Data, config: Any, teacher: str, extract: dict[str, Any]
) -> SampleShape:
    """Tokens by the model's own resize rule; depth and features by the teacher's."""
    from geovr.data.frames import FrameGeometry
    from geovr.teachers.frames import frame_size

    vision = config.vision_config
    factor = vision.patch_size * vision.spatial_merge_size
    geometry = FrameGeometry(
        patch=vision.patch_size,
        merge=vision.spatial_merge_size,
        temporal=vision.temporal_patch_size,
        paired=shown.frame_pairing == "pairs",
        min_pixels=shown.min_pixels or 4 * factor**2,
        max_pixels=shown.max_pixels or 24_576 * factor**2,
        image_min_pixels=factor**2,
        image_max_pixels=16_384 * factor**2,
        mean={},
        std={},
    )
    height, width = geometry.resized("video", data.frames, data.height, data.width)
    grid = geometry.token_grid(height, width)
    slots = len(geometry.slot_frames("video", data.frames))
    if teacher == "oracle":
        oracle = extract.get("oracle") or {}
        cell = int(oracle.get("feature_cell", 16))
        depth_size = (data.height, data.width)
        feature_grid = (max(1, data.height // cell), max(1, data.width // cell))
        feature_dim = int(oracle.get("feature_dim", 64))
    else:
        multiple = 32 if teacher == "vggt_omega" else 28
        section = extract.get(teacher) or {}
        longer = int(section.get("longer_side", 512 if teacher == "vggt_omega" else 504))
        depth_size = frame_size(data.height, data.width, longer, multiple)
        feature_grid = (depth_size[0] // multiple, depth_size[1] // multiple)
        feature_dim = 1536 if teacher == "depth_anything3" else 1024
    return SampleShape(
        slots=slots,
        grid=grid,
        prefix=slots * (grid[0] * grid[1] + TEXT_PER_SLOT),
        branch=BRANCH,
        labels=LABELS,
        depth_size=depth_size,
        feature_grid=feature_grid,
        feature_dim=feature_dim,
    )


def target_bytes(shape: SampleShape, extract: dict[str, Any]) -> int:
    """Bytes of one clip's targets in the chosen format, without the file's header."""
    chosen = validate(TargetFormat, extract.get("format") or {}, source="extract_targets.format")
    pixels = shape.slots * shape.depth_size[0] * shape.depth_size[1]
    cells = 4 * shape.slots * shape.feature_grid[0] * shape.feature_grid[1]
    groups = math.ceil(shape.feature_dim / int(chosen.feature_group))
    return pixels * (2 + 1) + cells * (shape.feature_dim + 2 * groups) + shape.slots * 36
