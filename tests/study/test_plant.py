"""Planted faults: each changes what it says and nothing else, once, and never unseen."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from geovr.artifacts import TargetSet
from geovr.data.targets import decode, depth_of, read_targets
from geovr.errors import UserError
from geovr.storage import Store
from geovr.study import faults
from geovr.study.config import Fault
from geovr.study.plant import plant
from tests.study.target_sets import (
    different,
    listing,
    make_target_set,
    random_targets,
    tensors_of,
)

FAULTS: tuple[Fault, ...] = get_args(Fault)
FRAMES, SIDE = 5, 6
POSE, SCALE = "pose_encoding_TK", "metric_scale"
FEATURES = {"features_NTHWC", "feature_scales_NTHWG"}
IN_F16, IN_LOG = {"depth_THW"}, {"depth_codes_THW", "depth_log_range"}


def true_targets(
    root: Path, depth: Literal["f16", "log_u16"] = "f16", seed: int = 0, clips: int = 7
) -> TargetSet:
    root.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    made = [random_targets(random, FRAMES, SIDE) for _ in range(clips)]
    made[2] = dataclasses.replace(made[2], metric_scale_valid=False, metric_scale=9.0)
    return make_target_set(root, made, depth)


@pytest.fixture(params=["f16", "log_u16"])
def true(request: pytest.FixtureRequest, tmp_path: Path) -> TargetSet:
    return true_targets(tmp_path, request.param)


def said(targets: TargetSet) -> dict[str, Any]:
    return {
        row.clip_id: read_targets(targets.store, row)
        for row in targets.index.itertuples(index=False)
    }


def changed(true: TargetSet, planted: TargetSet) -> set[str]:
    """Tensors that differ in some clip."""
    before, after = tensors_of(true), tensors_of(planted)
    return set().union(*(different(before[clip], after[clip]) for clip in before))


def depth_names(targets: TargetSet) -> set[str]:
    return IN_LOG if "depth_codes_THW" in tensors_of(targets)["c0"] else IN_F16


def test_each_clip_has_the_targets_of_another_one(true: TargetSet, tmp_path: Path) -> None:
    planted = plant("targets_of_other_clips", true, tmp_path / "planted")
    before, after = tensors_of(true), tensors_of(planted)
    giver = {
        clip: [other for other in before if not different(before[other], after[clip])]
        for clip in before
    }
    assert all(len(others) == 1 for others in giver.values())
    assert all(clip not in others for clip, others in giver.items())
    assert sorted(others[0] for others in giver.values()) == sorted(before), "an exchange"
    valid = dict(zip(planted.index["clip_id"], planted.index["scale_valid"], strict=True))
    assert {clip: giver[clip] != ["c2"] for clip in before} == valid
    other = plant("targets_of_other_clips", true, tmp_path / "other", seed=1)
    assert list(other.index["object_sha256"]) != list(planted.index["object_sha256"])


def test_targets_are_exchanged_between_clips_of_one_shape(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    shapes = [(3, 4), (2, 4), (3, 4), (2, 4), (3, 5), (3, 5)]
    clips = [random_targets(random, *shape) for shape in shapes]
    planted = plant("targets_of_other_clips", make_target_set(tmp_path, clips), tmp_path / "out")
    for number, found in enumerate(said(planted).values()):
        partner = {0: 2, 2: 0, 1: 3, 3: 1, 4: 5, 5: 4}[number]
        np.testing.assert_array_equal(found.pose_encoding_TK, clips[partner].pose_encoding_TK)


def test_equal_targets_under_two_names_are_no_exchange(tmp_path: Path) -> None:
    """Two clips whose targets are the same get others, not each other's."""
    random = np.random.default_rng(0)
    one, other = (random_targets(random, 2, 4) for _ in range(2))
    true = make_target_set(tmp_path, [one, one, one, other])
    planted = said(plant("targets_of_other_clips", true, tmp_path / "out"))
    for clip, wanted in {"c0": other, "c1": other, "c2": other, "c3": one}.items():
        np.testing.assert_array_equal(planted[clip].pose_encoding_TK, wanted.pose_encoding_TK)


def test_a_clip_that_can_exchange_with_nobody_is_named(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    clips = [random_targets(random, *shape) for shape in [(2, 4), (2, 4), (3, 4)]]
    with pytest.raises(UserError, match=r"c2: no other clip .*\(3, 9\).*sample all clips alike"):
        plant("targets_of_other_clips", make_target_set(tmp_path, clips), tmp_path / "out")


def test_frames_are_those_of_the_clip_in_another_order(true: TargetSet, tmp_path: Path) -> None:
    planted = plant("frames_shuffled", true, tmp_path / "planted")
    before, after = tensors_of(true), tensors_of(planted)
    per_frame = {POSE, "confidence_THW", *FEATURES, *(depth_names(true) - {"depth_log_range"})}
    orders = []
    for clip, tensors in before.items():
        assert different(tensors, after[clip]) == per_frame
        order = [
            next(k for k in range(FRAMES) if np.array_equal(tensors[POSE][k], pose))
            for pose in after[clip][POSE]
        ]
        assert sorted(order) == list(range(FRAMES)) != order
        for name in per_frame - {POSE}:
            frames = np.moveaxis(tensors[name], 1 if name in FEATURES else 0, 0)
            moved = np.moveaxis(after[clip][name], 1 if name in FEATURES else 0, 0)
            np.testing.assert_array_equal(moved, frames[order])
        orders.append(order)
    assert len({tuple(order) for order in orders}) > 1, "each clip has an order of its own"


def test_places_keep_what_the_clip_has_and_not_where(true: TargetSet, tmp_path: Path) -> None:
    planted = plant("places_shuffled", true, tmp_path / "planted")
    before, after = tensors_of(true), tensors_of(planted)
    moved = {POSE, "confidence_THW", *FEATURES, *(depth_names(true) - {"depth_log_range"})}
    for clip, tensors in before.items():
        assert different(tensors, after[clip]) == moved
        assert sorted(map(tuple, after[clip][POSE])) == sorted(map(tuple, tensors[POSE]))
    for clip, wanted in said(true).items():
        found = said(planted)[clip]
        # a place's confidence goes with its depth, and its features stay together over the levels
        together = [
            np.stack([t.depth_THW.ravel(), t.confidence_THW.ravel()], -1) for t in (found, wanted)
        ]
        np.testing.assert_array_equal(*(np.sort(pairs, axis=0) for pairs in together))
        assert set(map(tuple, together[0])) == set(map(tuple, together[1]))
        rows = [
            {tuple(row) for row in np.moveaxis(t.features_NTHWC, 0, -2).reshape(FRAMES * 4, -1)}
            for t in (found, wanted)
        ]
        assert rows[0] == rows[1] and len(rows[0]) == FRAMES * 4
        # each frame gets depths of several
        own = [set(frame.ravel()) for frame in wanted.depth_THW]
        assert all(len([1 for one in own if one & set(f.ravel())]) > 1 for f in found.depth_THW)


def test_two_frames_never_keep_their_order(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    clips = [random_targets(random, 2, 3) for _ in range(12)]
    planted = said(plant("frames_shuffled", make_target_set(tmp_path, clips), tmp_path / "out"))
    for number, clip in enumerate(clips):
        found = planted[f"c{number}"].pose_encoding_TK
        np.testing.assert_array_equal(found, clip.pose_encoding_TK[::-1])


def test_a_single_frame_has_one_order(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    true = make_target_set(tmp_path, [random_targets(random, frames, 3) for frames in (2, 1)])
    with pytest.raises(UserError, match="c1: a single frame can't be put in another order"):
        plant("frames_shuffled", true, tmp_path / "out")


def test_noise_changes_no_more_than_it_says(true: TargetSet, tmp_path: Path) -> None:
    planted = plant("noise", true, tmp_path / "planted")
    before, after = tensors_of(true), tensors_of(planted)
    drawn = {POSE, SCALE, *FEATURES, *depth_names(true)}
    for clip, tensors in before.items():
        undefined = {SCALE} if clip == "c2" else set()
        assert different(tensors, after[clip]) == drawn - undefined
        pose = after[clip][POSE]
        np.testing.assert_array_equal(pose[0, :7], [0, 0, 0, 0, 0, 0, 1])
        np.testing.assert_allclose(np.linalg.norm(pose[:, 3:7], axis=-1), 1, atol=1e-6)
        assert (pose[:, 6] >= 0).all() and (pose[:, 7:] > 0).all()
        assert (depth_of(after[clip]) > 0).all() and after[clip][SCALE] > 0


def test_noise_has_the_sets_mean_and_deviation_and_no_more_of_it(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    clips = [random_targets(random, 12, 12) for _ in range(60)]
    clips[0] = dataclasses.replace(clips[0], metric_scale=1e6, metric_scale_valid=False)
    clips[1].depth_THW[0, 0, 0] = np.nan
    true = make_target_set(tmp_path, clips)
    noise = list(said(plant("noise", true, tmp_path / "planted", seed=5)).values())
    real = list(said(true).values())

    def check(of: Any, precision: float) -> None:
        """Means and deviations agree, and no number knows the true one."""
        one, other = (np.stack([of(found) for found in part]) for part in (real, noise))
        spread = np.nanstd(one)
        assert abs(np.nanmean(one) - other.mean()) < precision * spread
        assert abs(spread - other.std()) < precision * spread
        pairs = np.stack([one.ravel(), other.ravel()])
        assert abs(np.corrcoef(pairs[:, np.isfinite(pairs).all(0)])[0, 1]) < precision

    check(lambda found: found.depth_THW, 0.05)
    for axis in range(3):
        check(lambda found: found.pose_encoding_TK[1:, axis], 0.15)  # noqa: B023
    check(lambda found: found.pose_encoding_TK[:, 7], 0.15)
    for axis in range(3, 7):
        one, other = (
            np.concatenate([found.pose_encoding_TK[1:, axis] for found in part])
            for part in (real, noise)
        )
        # unit length bends the marginals of a quaternion, but not far
        assert abs(one.mean() - other.mean()) < 0.3 * one.std() + 0.02
    one, other = (np.array([found.metric_scale for found in part[1:]]) for part in (real, noise))
    assert abs(one.mean() - other.mean()) < 0.5 * one.std() > abs(one.std() - other.std())
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.4
    one, other = (
        np.stack([found.features_NTHWC for found in part]).mean((0, 2, 3, 4))
        for part in (real, noise)
    )
    np.testing.assert_allclose(one, other, atol=0.02)
    assert noise[0].metric_scale == 1e6 and not noise[0].metric_scale_valid


def test_camera_to_world_poses_are_the_inverse_matrices(true: TargetSet, tmp_path: Path) -> None:
    planted = plant("camera_to_world", true, tmp_path / "planted")
    assert changed(true, planted) == {POSE}

    def matrices(pose_TK: np.ndarray) -> np.ndarray:
        found = np.tile(np.eye(4), (len(pose_TK), 1, 1))
        found[:, :3, :3] = Rotation.from_quat(pose_TK[:, 3:7]).as_matrix()
        found[:, :3, 3] = pose_TK[:, :3]
        return found

    before, after = tensors_of(true), tensors_of(planted)
    for clip, tensors in before.items():
        poses = after[clip][POSE]
        np.testing.assert_allclose(
            matrices(poses), np.linalg.inv(matrices(tensors[POSE])), atol=1e-5
        )
        assert (poses[:, 6] >= 0).all()
        np.testing.assert_array_equal(poses[:, 7:], tensors[POSE][:, 7:])
        assert np.abs(poses[1:, :3] - tensors[POSE][1:, :3]).max() > 0.1
        twice = faults.invert_poses(after[clip])[POSE]
        np.testing.assert_allclose(twice, tensors[POSE], atol=1e-5)


def test_inverse_depth_is_one_over_depth_of_the_same_mean(true: TargetSet, tmp_path: Path) -> None:
    planted = plant("inverse_depth", true, tmp_path / "planted")
    assert changed(true, planted) <= depth_names(true)
    before, after = said(true), said(planted)
    for clip, found in before.items():
        product = found.depth_THW.astype(np.float64) * after[clip].depth_THW
        np.testing.assert_allclose(product, product.mean(), rtol=2e-3)
        assert after[clip].depth_THW.mean() == pytest.approx(1, rel=1e-3)
        assert np.abs(after[clip].depth_THW - found.depth_THW).max() > 0.1


@pytest.mark.parametrize("depth", ["f16", "log_u16"])
def test_depth_that_is_none_stays_where_it_is(
    tmp_path: Path, depth: Literal["f16", "log_u16"]
) -> None:
    """In a unit other than the mean depth, too."""
    made = random_targets(np.random.default_rng(0), 2, 4)
    made.depth_THW[...] *= 7
    made.depth_THW[0, 0, :2] = np.nan, 0
    true = make_target_set(tmp_path, [made], depth)
    (found,) = said(plant("inverse_depth", true, tmp_path / "out")).values()
    wrong = ~(np.isfinite(found.depth_THW) & (found.depth_THW > 0))
    assert np.argwhere(wrong).tolist() == [[0, 0, 0], [0, 0, 1]]
    assert np.isnan(found.depth_THW[0, 0, 0]) and found.depth_THW[0, 0, 1] == 0
    good = made.depth_THW[~wrong]
    assert found.depth_THW[~wrong].mean() == pytest.approx(good.mean(), rel=1e-3)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_set_is_the_true_one_but_for_its_objects(fault: Fault, tmp_path: Path) -> None:
    true = true_targets(tmp_path)
    before = listing(true.store)
    planted = plant(fault, true, tmp_path / "planted", seed=3)
    told, was = planted.manifest, true.manifest
    assert told.details == was.details | {"planted": fault}
    assert told.config["splits"] == ["train"] and told.config["plant"]["seed"] == 3
    assert (told.counts, told.store) == (was.counts, was.store)
    assert told.inputs == was.inputs | {"targets": true.digest}
    assert planted.digest != true.digest
    columns = ["clip_id", "video_sha256"]
    assert planted.index[columns].equals(true.index[columns])
    assert list(planted.index.columns) == list(true.index.columns)
    assert not set(planted.index["object_key"]) & set(true.index["object_key"])
    after = listing(true.store)
    assert {key: after[key] for key in before} == before, "the true ones are not touched"
    assert TargetSet.load(true.directory).digest == true.digest


@pytest.mark.parametrize("fault", FAULTS)
def test_a_second_call_writes_nothing(fault: Fault, tmp_path: Path) -> None:
    true = true_targets(tmp_path)
    first = plant(fault, true, tmp_path / "planted")
    manifest = (tmp_path / "planted/manifest.json").stat().st_mtime_ns
    before = listing(true.store)
    again = plant(fault, true, tmp_path / "planted")
    assert again.digest == first.digest and listing(true.store) == before
    assert (tmp_path / "planted/manifest.json").stat().st_mtime_ns == manifest
    # at another place the objects are found
    elsewhere = plant(fault, true, tmp_path / "elsewhere")
    assert elsewhere.digest == first.digest and listing(true.store) == before
    # another seed at the same place is another set
    other = plant(fault, true, tmp_path / "planted", seed=1)
    assert other.digest != first.digest and other.manifest.config["plant"]["seed"] == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_drawn_depends_on_set_and_seed_alone(fault: Fault, tmp_path: Path) -> None:
    made = [
        plant(fault, true_targets(tmp_path / name), tmp_path / name / "planted", seed=seed)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert made[0].digest == made[1].digest
    assert list(made[0].index["object_sha256"]) == list(made[1].index["object_sha256"])
    drawn = fault not in ("camera_to_world", "inverse_depth")
    assert (list(made[0].index["object_sha256"]) != list(made[2].index["object_sha256"])) == drawn


@pytest.mark.parametrize("fault", FAULTS)
def test_a_killed_run_goes_on(
    fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also over a half-written object, and when objects are lost after the set was whole."""
    whole = plant(fault, true_targets(tmp_path / "whole"), tmp_path / "whole/planted")
    true = true_targets(tmp_path / "killed")
    output = tmp_path / "killed/planted"
    put, done = Store.put, []

    def dies_after_three(store: Store, key: str, data: bytes) -> str:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(key)
        return put(store, key, data)

    with monkeypatch.context() as patch:
        patch.setattr("geovr.study.plant._THREADS", 1)
        patch.setattr(Store, "put", dies_after_three)
        with pytest.raises(KeyboardInterrupt):
            plant(fault, true, output)
    assert len(done) == 3 and not (output / "manifest.json").exists()
    torn = tmp_path / "killed/store" / done[1]
    torn.write_bytes(torn.read_bytes()[:-9])
    before = listing(true.store)
    again = plant(fault, true, output)
    after = listing(true.store)
    assert again.digest == whole.digest
    assert {done[0], done[2]} <= {key for key in before if after[key] == before[key]}
    assert after[done[1]] != before[done[1]]
    torn.unlink()
    assert plant(fault, true, output).digest == whole.digest
    assert decode(torn.read_bytes()).metric_scale > 0


def test_a_damaged_set_is_made_again(tmp_path: Path) -> None:
    true = true_targets(tmp_path)
    first = plant("noise", true, tmp_path / "planted")
    (tmp_path / "planted/index.parquet").write_bytes(b"no table")
    assert plant("noise", true, tmp_path / "planted").digest == first.digest


def test_faults_are_planted_into_true_targets_and_not_over_them(tmp_path: Path) -> None:
    true = true_targets(tmp_path)
    planted = plant("noise", true, tmp_path / "planted")
    with pytest.raises(UserError, match="has noise planted already; give the true targets"):
        plant("inverse_depth", planted, tmp_path / "twice")
    with pytest.raises(UserError, match="holds the true targets; give another directory"):
        plant("noise", true, true.directory)
    assert TargetSet.load(true.directory).digest == true.digest
