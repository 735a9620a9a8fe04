"""Every objective can be learnt: a tiny model fits four rendered clips to geometric precision.

A broken loss, token, tap or target shows here as an error that does not go away.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from geovr.artifacts import Checkpoint, ClipSet, TargetSet
from geovr.data.dataset import BatchMaker
from geovr.data.order import RowSpec, questions_by_clip
from geovr.geometry.errors import abs_rel, rotation_error_deg, translation_direction_error_deg
from geovr.model.forward import load_backbone
from geovr.model.heads_file import attach_heads
from geovr.model.initialise import init_model
from geovr.model.predict import predict
from geovr.simulation.simulate import SimulateConfig, simulate
from geovr.stages.extract_targets import ExtractTargetsConfig, extract_targets
from geovr.stages.ingest import IngestConfig, ingest
from geovr.stages.train import TrainConfig, train


@pytest.mark.slow
def test_a_tiny_model_fits_four_clips(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    rooms, store = tmp_path / "rooms", str(tmp_path / "store")
    simulate(
        SimulateConfig(output=rooms, train_scenes=4, test_scenes=1, size="128x96", processes=1)
    )
    init_model("tiny", tmp_path / "tiny", seed=0)
    questions = [{"path": str(rooms / "train_questions.jsonl"), "split": "train"}]
    clips: ClipSet = ingest(
        IngestConfig(store=store, videos=str(rooms / "videos"), questions=questions),
        output=tmp_path / "clips",
    )
    targets: TargetSet = extract_targets(
        ExtractTargetsConfig(store=store, oracle={"ground_truth": str(rooms / "ground_truth")}),
        clips=clips,
        output=tmp_path / "targets",
    )
    config = TrainConfig(
        store=store,
        base_model=str(tmp_path / "tiny"),
        steps=600,
        clips_per_batch=4,
        questions_per_clip=2,
        numeric_answers="binned",
        seed=0,
        checkpoint_every=1000,
        optim={
            "learning_rate": 2e-3, "head_learning_rate": 2e-3, "beta2": 0.98,
            "warmup_share": 0.08, "final_share": 0.02, "train_vision": True,
        },
        heads={
            "camera_hidden": 128, "scale_hidden": 128, "depth_channels": [32, 32, 32, 32],
            "depth_features": 32, "depth_patch": 8,
        },
    )  # fmt: skip
    done: Checkpoint = train(config, clips=clips, targets=targets, output=tmp_path / "checkpoint")

    details = done.manifest.details
    exported = done.store.get_directory(details["prefix"], details["files"], tmp_path / "export")
    backbone, processor = load_backbone(exported)
    heads = done.store.get(details["heads"], details["heads_sha256"])
    model = attach_heads(backbone, heads, "heads.safetensors").eval()

    asked = clips.questions[clips.questions["split"] == "train"].reset_index(drop=True)
    by_clip = questions_by_clip(asked)
    maker = BatchMaker(clips, targets, processor, asked, numeric="binned", camera=True, scale=True)
    batch = maker.batch([RowSpec(clip, (places[0],)) for clip, places in sorted(by_clip.items())])
    truths = [target for target in batch.targets if target is not None]
    assert len(truths) == 4
    size, grid = truths[0].depth_THW.shape[1:], truths[0].features_NTHWC.shape[2:4]
    said = predict(model, batch, (size[0], size[1]), (grid[0], grid[1]))

    depth, rotation, direction, scale, cosine = [], [], [], [], []
    for prediction, truth in zip(said, truths, strict=True):
        assert prediction.depth_THW is not None and prediction.pose_encoding_TK is not None
        assert prediction.metric_scale is not None and prediction.features is not None
        depth.append(abs_rel(prediction.depth_THW, truth.depth_THW))
        pose = prediction.pose_encoding_TK
        rotation.append(rotation_error_deg(pose, truth.pose_encoding_TK).mean())
        direction.append(translation_direction_error_deg(pose, truth.pose_encoding_TK).mean())
        scale.append(abs(prediction.metric_scale / float(truth.metric_scale) - 1))
        for level, features in enumerate(prediction.features):
            wanted = truth.features_NTHWC[level]
            cosine.append(torch.cosine_similarity(features, wanted, dim=-1).mean())
    print(
        f"AbsRel {sum(depth) / 4:.4f}, rotation {max(rotation):.2f} deg,"
        f" direction {max(direction):.2f} deg, scale {max(scale):.2%},"
        f" cosine {sum(cosine) / len(cosine):.4f}"
    )
    assert sum(depth) / 4 < 0.05
    assert max(rotation) < 2 and max(direction) < 5
    assert max(scale) < 0.05
    assert sum(cosine) / len(cosine) > 0.95
