"""What a probe finds in made-up states: what was planted, where it was planted, and no more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from geovr.probing.config import ProbeConfig
from geovr.probing.probe import deal, fit_layers, score_layers
from geovr.probing.results import Scorer
from geovr.probing.states import ClipStates, Replay
from geovr.probing.targets import (
    TARGETS,
    ClipTargets,
    clip_targets,
    distance,
    nearest_rotation,
    ratio_error,
    turn_error,
)
from geovr.simulation.truth import SceneTruth

T, N, D = 3, 4, 24
LAYERS = (0, 1, 2)
CONFIG = ProbeConfig(folds=5, seed=3, resamples=200)


def random_targets(random: np.random.Generator) -> ClipTargets:
    turns = torch.from_numpy(random.normal(size=(T - 1, 3, 3)))
    pose = torch.cat(
        [torch.from_numpy(random.normal(size=(T - 1, 3))), nearest_rotation(turns).flatten(1)], 1
    )
    log_depth = torch.from_numpy(random.normal(size=(T, N)))
    return ClipTargets(log_depth, pose, float(log_depth.mean()) + float(random.normal()))


def planted(targets: ClipTargets, noise: np.ndarray) -> torch.Tensor:
    """States that hold depth in one direction, pose in others, scale in one, under some noise."""
    states = torch.from_numpy(0.05 * noise)
    states[:, :, 0] += targets.log_depth_TN
    states[1:, :, 1:13] += targets.pose_TQ[:, None]
    states[:, :, 13] += targets.log_scale
    return states.float()


def made(count: int, of_scene: int = 1, seed: int = 0) -> list[ClipStates]:
    random = np.random.default_rng(seed)
    clips = []
    for number in range(count):
        targets = random_targets(random)
        layers = {
            layer: torch.from_numpy(random.normal(size=(T, N, D))).float() for layer in LAYERS
        }
        layers[1] = planted(targets, random.normal(size=(T, N, D)))
        clips.append(ClipStates(f"scene-{number // of_scene:03}", targets, layers))
    return clips


def r2_of(
    clips: list[ClipStates], fold_of: dict[str, int] | None = None
) -> dict[tuple[int, str], float]:
    scenes = sorted({clip.scene for clip in clips})
    folds = fold_of or deal(scenes, CONFIG)
    fits = fit_layers(clips, LAYERS, D, folds, CONFIG.folds)
    scored, constant, _ = score_layers(
        clips, fits, folds, Scorer(scenes, CONFIG.resamples, CONFIG.seed)
    )
    assert all(one.reading.r2.value <= 0 for one in constant.values())
    for one in scored.values():
        assert one.reading.r2.low <= one.reading.r2.value <= one.reading.r2.high
    return {key: one.reading.r2.value for key, one in scored.items()}


def test_a_planted_signal_is_found_at_its_layer_alone() -> None:
    found = r2_of(made(120))
    for target in TARGETS:
        assert found[1, target] > 0.95, target
        assert found[0, target] < 0.03 and found[2, target] < 0.03, target


def test_shuffled_targets_are_not_found() -> None:
    clips = made(120)
    order = np.random.default_rng(1).permutation(len(clips))
    shuffled = [
        ClipStates(clip.scene, clips[other].targets, clip.layers)
        for clip, other in zip(clips, order, strict=True)
    ]
    assert max(r2_of(shuffled).values()) < 0.03


def test_what_tells_scenes_apart_is_worth_nothing() -> None:
    """Four clips a scene share states and targets: who has seen the scene can tell them."""
    clips = made(160, of_scene=4)
    firsts = [clips[4 * (number // 4)] for number in range(len(clips))]
    same = [
        ClipStates(clip.scene, clip.targets, dict.fromkeys(LAYERS, clip.layers[0]))
        for clip in firsts
    ]
    assert r2_of(same)[0, "scale"] < 0.03
    # the same clips as scenes of their own: the leak that folds over scenes prevent
    leaking = [
        ClipStates(f"{clip.scene}-{n}", clip.targets, clip.layers) for n, clip in enumerate(same)
    ]
    assert r2_of(leaking)[0, "scale"] > 0.3


def test_scenes_are_dealt_once_evenly_and_by_seed() -> None:
    scenes = [f"s{n}" for n in range(23)]
    dealt = deal(scenes, CONFIG)
    assert sorted(dealt) == sorted(scenes)
    sizes = np.bincount(list(dealt.values()))
    assert sizes.tolist() == [5, 5, 5, 4, 4]
    assert dealt == deal(scenes, CONFIG)
    assert dealt != deal(scenes, CONFIG.model_copy(update={"seed": 4}))


def test_tokens_without_truth_are_in_no_number() -> None:
    clips = made(60)
    whole = r2_of(clips)
    for clip in clips:
        clip.targets.log_depth_TN[0, 0] = float("nan")
    fits = fit_layers(clips, LAYERS, D, deal([c.scene for c in clips], CONFIG), CONFIG.folds)
    _, _, items = score_layers(
        clips, fits, deal([c.scene for c in clips], CONFIG), Scorer([c.scene for c in clips], 50, 0)
    )
    assert items == {"depth": 60 * (T * N - 1), "translation": 120, "rotation": 120, "scale": 60}
    assert r2_of(clips)[1, "depth"] > 0.95 and whole[1, "depth"] > 0.95


def test_a_clip_of_one_frame_has_no_pose() -> None:
    clips = [
        ClipStates(
            clip.scene,
            ClipTargets(
                clip.targets.log_depth_TN[:1], clip.targets.pose_TQ[:0], clip.targets.log_scale
            ),
            {layer: states[:1] for layer, states in clip.layers.items()},
        )
        for clip in made(60)
    ]
    assert {target for _, target in r2_of(clips)} == {"depth", "scale"}


def test_r2_and_its_interval_are_those_of_whole_resamples() -> None:
    """Against a loop that draws scenes and pools their rows."""
    random = np.random.default_rng(5)
    scenes = [f"s{n:02}" for n in range(12)]
    of_row = sorted(random.choice(scenes, 80).tolist() + scenes)
    true = random.normal(size=(len(of_row), 3)) + 100
    said = true + 0.5 * random.normal(size=true.shape)
    found = Scorer(scenes, 300, 9)(
        TARGETS["translation"], torch.from_numpy(said), torch.from_numpy(true), of_row
    ).reading
    draws = []
    for draw in np.random.default_rng(9).integers(0, 12, (300, 12)):
        rows = np.concatenate([[r for r, s in enumerate(of_row) if s == scenes[d]] for d in draw])
        part = true[rows]
        draws.append(1 - ((said[rows] - part) ** 2).sum() / ((part - true.mean(0)) ** 2).sum())
    whole = 1 - ((said - true) ** 2).sum() / ((true - true.mean(0)) ** 2).sum()
    np.testing.assert_allclose(found.r2.value, whole)
    np.testing.assert_allclose([found.r2.low, found.r2.high], np.percentile(draws, [2.5, 97.5]))
    np.testing.assert_allclose(found.error, np.sort(np.linalg.norm(said - true, axis=1))[45])


def test_a_target_that_never_varies_has_no_r2() -> None:
    same = torch.full((6, 1), 0.7, dtype=torch.float64)
    scenes = [f"s{n}" for n in range(6)]
    reading = Scorer(scenes, 20, 0)(TARGETS["scale"], same + 0.1, same, scenes).reading
    assert np.isnan(reading.r2.value) and reading.error == pytest.approx(np.exp(0.1) - 1)


def test_a_replay_keeps_what_fits_and_reads_the_rest_again() -> None:
    clips, passes = made(6), []

    def read() -> Callable[[], object]:
        passes.append(1)
        return iter(clips)  # type: ignore[return-value]

    size = sum(states.nbytes for clip in clips for states in clip.layers.values())
    for most, expected in ((size, 1), (size - 1, 2)):
        passes.clear()
        replay = Replay(read, most)  # type: ignore[arg-type]
        assert list(replay) == list(replay) == clips
        assert len(passes) == expected


def test_targets_are_those_of_the_scene() -> None:
    from scipy.spatial.transform import Rotation

    random = np.random.default_rng(2)
    turn = Rotation.random(3, random_state=4).as_matrix()
    centre = random.normal(size=(3, 3))
    extrinsics = np.tile(np.eye(4), (3, 1, 1))
    extrinsics[:, :3, :3], extrinsics[:, :3, 3] = turn, -np.einsum("tij,tj->ti", turn, centre)
    depth = random.uniform(1, 6, size=(3, 8, 12))
    depth[0, :4, :4] = 0  # a cell of which nothing is known
    depth[1, 0, 0] = np.inf  # and a pixel of another
    truth = SceneTruth(
        torch.from_numpy(extrinsics), torch.eye(3).repeat(3, 1, 1), torch.from_numpy(depth)
    )
    found = clip_targets(truth, (2, 3))
    cells = depth.reshape(3, 2, 4, 3, 4).transpose(0, 1, 3, 2, 4).reshape(3, 6, 16)
    assert bool(found.log_depth_TN[0, 0].isnan())
    known = np.isfinite(cells) & (cells > 0)
    for t, n in [(0, 1), (1, 0), (2, 5)]:
        mean = cells[t, n][known[t, n]].mean()
        assert float(found.log_depth_TN[t, n]) == pytest.approx(np.log(mean))
    assert found.log_scale == pytest.approx(np.log(depth[(depth > 0) & np.isfinite(depth)].mean()))
    # where the camera stands, in the first camera's axes: ahead of it is z
    wanted = np.einsum("ij,tj->ti", turn[0], centre[1:] - centre[0])
    np.testing.assert_allclose(found.pose_TQ[:, :3], wanted, atol=1e-12)
    np.testing.assert_allclose(found.pose_TQ[:, 3:].reshape(2, 3, 3), turn[1:] @ turn[0].T)


def test_errors_are_in_units_that_people_read() -> None:
    from scipy.spatial.transform import Rotation

    log = torch.tensor([[2.0]]).log()
    assert float(ratio_error(log, torch.tensor([[1.0]]).log())) == pytest.approx(1.0)
    assert float(distance(torch.tensor([[0.0, 3, 4]]), torch.zeros(1, 3))) == pytest.approx(5)
    random = np.random.default_rng(3)
    true = Rotation.random(20, random_state=1)
    noisy = true.as_matrix() + 0.3 * random.normal(size=(20, 3, 3))
    off = (Rotation.from_matrix(noisy).inv() * true).magnitude()
    found = turn_error(torch.from_numpy(noisy), torch.from_numpy(true.as_matrix()))
    np.testing.assert_allclose(found, np.degrees(off), rtol=1e-6)
    mirrored = torch.diag(torch.tensor([1.0, 1.0, -0.1])).double()[None]
    assert float(torch.linalg.det(nearest_rotation(mirrored))) == pytest.approx(1)
