"""The paper's runs (arXiv 2606.05833) as complete parameter files, and how they are written.

Each file stands alone: `--params pipelines/recipes/NAME.yaml`. They are written from this module by
`python -m pipelines.recipes`, so that what two of them share is equal; a test compares.

Where the paper and its code leave a choice open, ours is the project's default
(docs/decisions/0009-recipes.md).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

Values = dict[str, Any]

VSI_590K, VLM_3R = 374_000, 205_000
"""Training questions about videos, as the paper gives them."""
GLOBAL_BATCH = 32

TEACHERS: dict[str, Values] = {
    "vggt": {
        "extract": {"teacher": "vggt", "vggt": {"checkpoint": "VGGT-1B"}},
        "weights": "VGGT-1B",
        "heads": {"teacher_depth": 24, "depth_patch": 7},
    },
    "omega": {
        "extract": {"teacher": "vggt_omega", "vggt_omega": {"checkpoint": "VGGT-Omega-1B-512"}},
        "weights": "VGGT-Omega-1B-512",
        "heads": {"teacher_depth": 24, "depth_patch": 8},
    },
    "da3": {
        "extract": {
            "teacher": "depth_anything3",
            "depth_anything3": {"checkpoint": "DA3-GIANT-1.1"},
        },
        "weights": "DA3-GIANT-1.1",
        "heads": {
            "teacher_depth": 40,
            "depth_layers": [20, 28, 34, 40],
            "feature_layers": [19, 27, 33, 39],
            "depth_patch": 7,
        },
    },
}
ALL = {"camera": True, "depth": True, "scale": True, "features": True}


@dataclass(frozen=True)
class Recipe:
    """One run.

    Attributes:
        name: of the file.
        about: what it is.
        score: mean of VSI-Bench's eight kinds that the paper prints; None where it prints none.
        size: of Qwen3-VL.
        teacher: vggt, omega or da3.
        objectives: which losses.
        heads: changes of the heads.
        ablation: at most 8 frames and VSI-590K alone, else 32 frames and VLM-3R too.
    """

    name: str
    about: str
    score: float | None
    size: str = "2B"
    teacher: str = "vggt"
    objectives: Values = field(default_factory=lambda: dict(ALL))
    heads: Values = field(default_factory=dict)
    ablation: bool = True

    def values(self) -> Values:
        """The parameter file."""
        teacher = TEACHERS[self.teacher]
        questions = [{"path": "data/vsi590k/vsi_590k.jsonl", "split": "train"}]
        if not self.ablation:
            questions.append({"path": "data/vlm3r/vlm3r_vsi_205k.json", "split": "train"})
        questions.append({"path": "data/vsibench/test.jsonl", "split": "test"})
        samples = VSI_590K if self.ablation else VSI_590K + VLM_3R
        kind = teacher["extract"]["teacher"]
        section = {
            **teacher["extract"][kind],
            "weights": {"path": f"weights/{teacher['weights']}/model.safetensors"},
            "metric": {"weights": {"path": "weights/DA3METRIC-LARGE/model.safetensors"}},
        }
        four_gpus = {"scheduler": "local_cwd", "processes_per_node": 4}
        return {
            "store": ".geovr/store",
            "experiment": "geovr-paper",
            "ingest": {
                "videos": "data/videos",
                "questions": questions,
                "sampler": {
                    "kind": "fps", "fps": 2.0, "min_frames": 4,
                    "max_frames": 8 if self.ablation else 32,
                },
            },
            "check_clips": {},
            "extract_targets": {"teacher": kind, kind: section, "launch": four_gpus},
            "check_targets": {},
            "train": {
                "base_model": f"models/Qwen3-VL-{self.size}-Instruct",
                "base_model_license": "apache-2.0",
                "steps": round(samples / GLOBAL_BATCH),
                "clips_per_batch": GLOBAL_BATCH,
                "clips_per_forward": 2,
                "questions_per_clip": 1,
                "numeric_answers": "text",
                "precision": "bfloat16",
                "seed": 42,
                "input": {
                    "frame_pairing": "doubled",
                    "min_pixels": 4 * 16 * 1024,
                    "max_pixels": 32 * 300 * 1024,
                    "max_tokens": 16_384,
                    "over_length": "drop_frames",
                },
                "optim": {
                    "learning_rate": 2e-05, "head_learning_rate": 1e-04, "weight_decay": 0.0,
                    "warmup_share": 0.03, "max_grad_norm": 1.0,
                },
                "heads": {"layout": "visible", **teacher["heads"], **self.heads},
                "objectives": {
                    "camera_weight": 2.5, "depth_weight": 1.0, "scale_weight": 1.0,
                    "features_weight": 1.0, **self.objectives,
                },
                "checkpoint_every": 250,
                "launch": four_gpus,
            },
            "evaluate": {"numeric": "greedy", "batch_rows": 1, "launch": four_gpus},
            "register": {"model_name": "geovr"},
        }  # fmt: skip


def _only(*names: str) -> Values:
    return {name: name in names for name in ALL}


def _main() -> list[Recipe]:
    scores = {"2B": 69.1, "4B": 69.6, "8B": None}
    return [
        Recipe(
            f"{size.lower()}-vggt-4gpu", f"The main run of Qwen3-VL-{size} with VGGT-1B.", score,
            size=size, ablation=False,
        )
        for size, score in scores.items()
    ]  # fmt: skip


def _tables() -> list[Recipe]:
    rows = [
        ("text", (), 56.7), ("camera", ("camera",), 59.8), ("depth", ("depth",), 59.7),
        ("camera-depth", ("camera", "depth"), 60.3),
        ("camera-depth-scale", ("camera", "depth", "scale"), 60.9),
        ("features", ("features",), 57.5), ("all", tuple(ALL), 62.1),
    ]  # fmt: skip
    recipes = [
        Recipe(
            f"table2-{number}-{name}", f"Table 2, row {number}: {name.replace('-', ', ')}.", score,
            objectives=_only(*on),
        )
        for number, (name, on, score) in enumerate(rows)
    ]  # fmt: skip
    teachers = (("vggt", 62.1), ("omega", 60.7), ("da3", 58.7))
    recipes += [
        Recipe(f"table3-{name}", f"Table 3: all objectives with {name}.", score, teacher=name)
        for name, score in teachers
    ]
    layers = (
        ((1,), 58.14), ((2,), 57.96), ((3,), 57.90), ((1, 3), 57.25), ((0, 2), 56.74),
        ((0, 1, 2, 3), 59.67),
    )  # fmt: skip
    for levels, score in layers:
        named = "-".join(str((5, 12, 18, 24)[level]) for level in levels)
        recipes.append(
            Recipe(
                f"table4-layers-{named}", f"Table 4: features of Omega's layers {named} alone.",
                score, teacher="omega", objectives=_only("features"),
                heads={"feature_levels": list(levels)},
            )
        )  # fmt: skip
    depth = {"mlp": (58.42, 59.31), "dpt": (58.48, 58.87), "dense": (60.30, 58.50)}
    for head, scores in depth.items():
        for loss, score in zip(("l1", "silog"), scores, strict=True):
            recipes.append(
                Recipe(
                    f"table5-{head}-{loss}", f"Table 5: depth of Omega alone, {head} head, {loss}.",
                    score, teacher="omega", objectives={**_only("depth"), "depth_loss": loss},
                    heads={"depth_head": head},
                )
            )  # fmt: skip
    return recipes


RECIPES = {recipe.name: recipe for recipe in (*_main(), *_tables())}


def render(recipe: Recipe) -> str:
    """The text of a recipe's file."""
    import yaml

    score = (
        "The paper prints no score for it."
        if recipe.score is None
        else f"The paper's score: {recipe.score} (mean of VSI-Bench's eight kinds; one seed)."
    )
    head = (
        f"# {recipe.about}\n# {score}\n"
        "# Written by `python -m pipelines.recipes`; paths are yours to change with --set.\n"
        "# questions_per_clip: 1 is the paper's way; 8 with clips_per_batch: 4 sees as many\n"
        "# questions a step for a fraction of the cost (`geovr plan` tells).\n"
    )
    values = json.loads(json.dumps(recipe.values()))  # shared parts written out, not as references
    return head + yaml.safe_dump(values, sort_keys=False, width=100)
