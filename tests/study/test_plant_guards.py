"""What a study's planted faults do to a gain, a unit test finds by itself: here are those that no
other test looked for (docs/decisions/0041-planted-faults.md lists all).

The whole way from ground truth to a batch is held to formulas written out here, and the same check
is shown to fail on every planted fault; the losses are held to states and targets taken by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from scipy.spatial.transform import Rotation
from transformers import AutoProcessor

from geovr.artifacts import ClipSet, TargetSet
from geovr.data.batch import Targets
from geovr.data.dataset import BatchMaker
from geovr.data.order import RowSpec, questions_by_clip
from geovr.losses.camera import camera_loss
from geovr.losses.depth import depth_loss
from geovr.losses.feature import feature_loss
from geovr.losses.objectives import Objectives
from geovr.model.forward import load_backbone
from geovr.model.geovr import GeoVR
from geovr.model.initialise import init_model
from geovr.model.predict import predict
from geovr.simulation.simulate import SimulateConfig, simulate
from geovr.stages.extract_targets import ExtractTargetsConfig, extract_targets
from geovr.stages.ingest import IngestConfig, ingest
from geovr.study.config import Fault
from geovr.study.plant import plant
from geovr.teachers.oracle import _PROJECTION_SEED
from tests.model.test_packing import SMALL_HEADS, clip, make_batch, random_targets
from tests.model.test_sample_masks import single

FOUND: dict[Fault, set[str]] = {
    "targets_of_other_clips": {"pose", "depth", "scale", "features"},
    "frames_shuffled": {"pose", "depth", "features"},
    "places_shuffled": {"pose", "depth", "features"},
    "noise": {"pose", "depth", "scale", "features"},
    "camera_to_world": {"pose"},
    "inverse_depth": {"depth"},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny"
    init_model("tiny", path, seed=0)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClipSet, TargetSet, Path]:
    """Four clips of a study, their targets, and where the ground truth lies."""
    root = tmp_path_factory.mktemp("study")
    rooms, store = root / "rooms", str(root / "store")
    simulate(
        SimulateConfig(preset="study", output=rooms, train_scenes=4, test_scenes=0, processes=1)
    )
    questions = [{"path": str(rooms / "train_questions.jsonl"), "split": "train"}]
    clips = ingest(
        IngestConfig(store=store, videos=str(rooms / "videos"), questions=questions),
        output=root / "clips",
    )
    oracle = {"ground_truth": str(rooms / "ground_truth")}
    targets = extract_targets(
        ExtractTargetsConfig(store=store, oracle=oracle), clips=clips, output=root / "targets"
    )
    return clips, targets, rooms / "ground_truth"


def wrong(found: Targets, truth: dict[str, np.ndarray]) -> set[str]:
    """What in a clip's targets isn't what the ground truth of its frames says."""
    depth = truth["depth_NHW"].astype(np.float64)
    world = truth["camera_from_world_N44"].astype(np.float64)
    unit = depth.mean()
    poses = world @ np.linalg.inv(world[0])
    poses[:, :3, 3] /= unit
    said = found.pose_encoding_TK.double().numpy()
    turned = Rotation.from_quat(said[:, 3:7]).as_matrix() @ poses[:, :3, :3].transpose(0, 2, 1)
    focal = truth["intrinsics_N33"]
    H, W = depth.shape[1:]
    fov = np.stack([2 * np.arctan(H / 2 / focal[:, 1, 1]), 2 * np.arctan(W / 2 / focal[:, 0, 0])])
    right = {
        "pose": np.allclose(said[:, :3], poses[:, :3, 3], atol=1e-4)
        and np.allclose(turned, np.eye(3), atol=1e-4)
        and np.allclose(said[:, 7:], fov.T, atol=1e-5),
        "depth": np.allclose(found.depth_THW.numpy() * unit, depth, rtol=2e-3),
        "scale": np.isclose(float(found.metric_scale), unit, rtol=1e-5),
        "features": agrees(found.features_NTHWC.numpy(), depth / unit, poses, focal),
    }
    return {name for name, fine in right.items() if not fine}


def agrees(features: np.ndarray, depth: np.ndarray, poses: np.ndarray, focal: np.ndarray) -> bool:
    """Whether features are those of the points: waves of points and normals, averaged by cell."""
    T, H, W = depth.shape
    u, v = np.meshgrid(np.arange(W) + 0.5, np.arange(H) + 0.5)
    rays = np.stack([(u - W / 2) / focal[0, 0, 0], (v - H / 2) / focal[0, 1, 1], np.ones((H, W))])
    seen = np.moveaxis(rays, 0, -1)[None] * depth[..., None] - poses[:, None, None, :3, 3]
    points = (seen[..., None, :] @ poses[:, None, None, :3, :3])[..., 0, :]
    across = points[:, :-1, 1:] - points[:, :-1, :-1]
    down = points[:, 1:, :-1] - points[:, :-1, :-1]
    normal = np.cross(down, across)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    normal = np.pad(normal, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="edge")
    what = np.concatenate([points, normal], -1)
    N, _, h, w, C = features.shape
    generator = torch.Generator().manual_seed(_PROJECTION_SEED)
    for level in range(N):
        angle = what * (np.pi / 4 * 2**level)
        waves = np.concatenate([np.sin(angle), np.cos(angle)], -1)
        mean = waves.reshape(T, h, H // h, w, W // w, -1).mean((2, 4))
        wanted = mean @ torch.randn(mean.shape[-1], C, generator=generator).numpy()
        wanted /= np.linalg.norm(wanted, axis=-1, keepdims=True)
        # int8 keeps directions, not quite lengths
        found = features[level] / np.linalg.norm(features[level], axis=-1, keepdims=True)
        if (wanted * found).sum(-1).min() < 0.9995:
            return False
    return True


def wrong_in_batch(
    clips: ClipSet, targets: TargetSet, truths: Path, model: Path
) -> dict[str, set[str]]:
    """Clip to what is wrong with the targets that a training would learn from for it."""
    processor = AutoProcessor.from_pretrained(model, local_files_only=True)
    asked = clips.questions.reset_index(drop=True)
    by_clip = questions_by_clip(asked)
    maker = BatchMaker(clips, targets, processor, asked, numeric="binned", camera=True, scale=True)
    order = [sorted(by_clip)[place] for place in (2, 0, 3, 1)]
    batch = maker.batch([RowSpec(clip_id, by_clip[clip_id][:2]) for clip_id in order])
    found = {}
    for clip_id, target in zip(order, batch.targets, strict=True):
        assert target is not None
        truth = load_file(truths / f"{clip_id.split('/')[1]}.safetensors")
        assert len(target.depth_THW) == len(truth["depth_NHW"]) == 8
        found[clip_id] = wrong(target, truth)
    return found


def test_a_training_learns_the_ground_truth_of_each_clips_own_frames(
    made: tuple[ClipSet, TargetSet, Path], model: Path
) -> None:
    clips, targets, truths = made
    found = wrong_in_batch(clips, targets, truths, model)
    assert len(found) == 4 and not any(found.values())


@pytest.mark.parametrize("fault", FOUND)
def test_and_the_same_look_finds_each_planted_fault(
    fault: Fault, made: tuple[ClipSet, TargetSet, Path], model: Path, tmp_path: Path
) -> None:
    clips, targets, truths = made
    planted = plant(fault, targets, tmp_path / "planted")
    found = wrong_in_batch(clips, planted, truths, model)
    assert set(map(frozenset, found.values())) == {frozenset(FOUND[fault])}


@pytest.mark.parametrize("packed", [False, True])
def test_each_head_meets_its_layer_and_the_targets_of_its_own_clip_and_frames(
    model: Path, packed: bool
) -> None:
    """Losses and predictions, against states and targets that are put together by hand."""
    backbone, processor = load_backbone(model)
    torch.manual_seed(0)
    geovr = GeoVR(backbone, SMALL_HEADS, Objectives(), 16)
    rows: list[Any] = [(clip(3), asked, single(random_targets(3))) for asked in ([0, 1], [2])]
    batch = make_batch(processor, rows, packed=packed)
    with torch.no_grad():
        losses = geovr(batch)
        flat, taps = geovr.states(batch)
        poses = geovr.camera_head(flat[batch.camera_N]).unflatten(0, (2, 3))
        (T, gh, gw), merge = batch.grid_I3[0].tolist(), 2
        maps = {
            layer: states.view(2, T, gh // merge, gw // merge, -1).permute(0, 1, 4, 2, 3)
            for layer, states in taps.items()
        }
        wanted = {"camera": 0.0, "depth": 0.0, "features": 0.0}
        for number, (_, asked, target) in enumerate(rows):
            camera = camera_loss(poses[number][None], target.pose_encoding_TK[None])
            levels = [maps[layer][number] for layer in (1, 2, 3, 4)]
            size = target.depth_THW.shape[1:]
            depth = geovr.depth_head(levels, size).view(target.depth_THW.shape)
            grid = target.features_NTHWC.shape[2:4]
            features = [
                head(level, grid) for head, level in zip(geovr.feature_heads, levels, strict=True)
            ]
            by_level = [
                feature_loss(said.flatten(0, 2)[None], true.flatten(0, 2)[None])
                for said, true in zip(features, target.features_NTHWC, strict=True)
            ]
            wanted["camera"] += len(asked) * float(camera)
            wanted["depth"] += len(asked) * float(depth_loss(depth[None], target.depth_THW[None]))
            wanted["features"] += len(asked) * float(torch.stack(by_level).mean())
            said = predict(geovr, batch, size, grid)[number]
            assert said.pose_encoding_TK is not None and said.depth_THW is not None
            torch.testing.assert_close(said.pose_encoding_TK, poses[number])
            torch.testing.assert_close(said.depth_THW.view(depth.shape), depth)
            torch.testing.assert_close(torch.stack(said.features or ()), torch.stack(features))
    found = {term: float(losses[term]) for term in wanted}
    assert found == pytest.approx(wanted, rel=1e-5)
