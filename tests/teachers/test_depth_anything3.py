"""Depth Anything 3 against upstream's own outputs, and from videos to a training step.

The networks are upstream's, from its PyPI package, at sizes for a CPU and with random weights.
Nothing here is skipped when the package is missing: `make setup` installs it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_model
from scipy.spatial.transform import Rotation
from torch import nn

from geovr.artifacts import ClipSet, TargetSet
from geovr.data.targets import GeometryTargets, decode, encode
from geovr.errors import UserError
from geovr.geometry.camera import decode_pose
from geovr.stages.check_targets import CheckTargetsConfig, check_targets
from geovr.stages.extract_targets import ExtractTargetsConfig, extract_targets
from geovr.stages.ingest import IngestConfig, ingest
from geovr.stages.train import TrainConfig, train
from geovr.storage import sha256_file
from geovr.teachers.config import DepthAnything3Config
from geovr.teachers.depth_anything3 import DepthAnything3, _relative
from geovr.teachers.frames import normalise, resize_frames
from geovr.teachers.licenses import card_of
from geovr.teachers.make import make_teacher
from geovr.teachers.runner import FoundationTeacher
from tests.teachers.networks import clip, stir, without_numbers

SIZE = (84, 112)
METRIC = {"weights": {"random_init": 1}, "size": "tiny"}


def teacher(**values: Any) -> FoundationTeacher:
    settings = {"checkpoint": "DA3-SMALL", "weights": {"random_init": 0}, "longer_side": 112}
    made = make_teacher(DepthAnything3Config.model_validate(settings | values))
    assert isinstance(made, FoundationTeacher)
    return made


@pytest.fixture(scope="module")
def whole() -> Any:
    """Upstream's network with all its parts, as its own factory makes it."""
    from depth_anything_3.cfg import create_object, load_config
    from depth_anything_3.registry import MODEL_REGISTRY

    net = create_object(load_config(MODEL_REGISTRY["da3-small"])).eval()
    stir(net)
    with torch.no_grad():
        net.cam_dec.fc_fov[0].bias.fill_(1.0)
    return net


@pytest.fixture(scope="module")
def published(whole: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its weights as the hub's client saves them: tensors that parts share stand there once."""
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_model(nn.ModuleDict({"model": whole}), str(path))
    return path


@pytest.fixture(scope="module")
def ours(published: Path) -> FoundationTeacher:
    return teacher(weights={"path": str(published)}, metric=METRIC, clips_per_call=2)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pooled(features: torch.Tensor) -> np.ndarray:
    T, h, w, C = features.shape
    cells: np.ndarray = features.numpy().reshape(T, h // 2, 2, w // 2, 2, C).mean((2, 4))
    return cells


def as_4x4(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    matrix = np.tile(np.eye(4), (len(rotation), 1, 1))
    matrix[:, :3, :3], matrix[:, :3, 3] = rotation, translation
    return matrix


def test_all_that_is_said_is_what_upstream_says(whole: Any, ours: FoundationTeacher) -> None:
    seen = clip(5)
    (said,) = ours([seen])
    images = normalise(resize_frames(seen.frames_THWC, SIZE))[None]
    raw: list[torch.Tensor] = []
    hook = whole.cam_dec.register_forward_hook(lambda *a: raw.append(a[-1][0]))
    with torch.inference_mode():
        out = whole(images, export_feat_layers=[4, 6, 8, 10], ref_view_strategy="first")
    hook.remove()
    np.testing.assert_allclose(said.depth_THW, out.depth[0], rtol=1e-5)
    np.testing.assert_allclose(said.confidence_THW, 1 - 1 / out.depth_conf[0], rtol=1e-5)
    for place, layer in enumerate((4, 6, 8, 10)):
        expected = pooled(out.aux[f"feat_layer_{layer}"][0])
        np.testing.assert_allclose(said.features_NTHWC[place], expected, atol=1e-5)
    # the decoder's numbers are poses of cameras in the world, quaternion (x, y, z, w)
    t, q, fov = np.split(raw[0].double().numpy(), [3, 7], axis=-1)
    world_from_camera = as_4x4(Rotation.from_quat(q).as_matrix(), t)
    relative = np.linalg.inv(world_from_camera) @ world_from_camera[0]
    poses, intrinsics = decode_pose(torch.from_numpy(said.pose_encoding_TK).double(), SIZE)
    np.testing.assert_allclose(poses, relative, atol=1e-4)
    np.testing.assert_allclose(said.pose_encoding_TK[:, 7:], fov, atol=1e-5)
    np.testing.assert_allclose(intrinsics, out.intrinsics[0], rtol=1e-4)
    from_upstream = as_4x4(out.extrinsics[0, :, :, :3].numpy(), out.extrinsics[0, :, :, 3].numpy())
    np.testing.assert_allclose(poses, from_upstream @ np.linalg.inv(from_upstream[0]), atol=1e-4)
    assert (np.abs(said.pose_encoding_TK[1:, :3]).max(-1) > 1e-3).all(), "the cameras do move"


def test_the_published_file_has_parts_that_are_neither_loaded_nor_computed(
    whole: Any, ours: FoundationTeacher
) -> None:
    here, there = (
        {n.split(".")[0] for n, _ in net.named_parameters()} for net in (ours.network.net, whole)
    )
    assert there - here == {"cam_enc"}
    rays = [n for n, _ in whole.named_parameters() if "_aux" in n]
    assert rays and not [n for n, _ in ours.network.net.named_parameters() if "_aux" in n]


def test_features_of_a_frame_lie_at_its_own_place(ours: FoundationTeacher) -> None:
    """With upstream's default reference view they come in another order than the frames.

    Below the layer where frames begin to see each other a frame's features are its own, but for
    the first frame's token; so swapping the frames 2 and 3 swaps them, and leaves 1 alone.
    """
    seen = clip(5)
    order = [0, 1, 3, 2, 4]
    (before,), (after,) = ours([seen]), ours([replace(seen, frames_THWC=seen.frames_THWC[order])])
    np.testing.assert_allclose(after.features_NTHWC[0], before.features_NTHWC[0][order], atol=1e-5)


def test_upstreams_default_reference_view_disorders_its_exported_features(whole: Any) -> None:
    """The fault that ours steps around; when this fails upstream has mended it."""
    for seed in range(10):
        images = normalise(resize_frames(clip(5, seed=seed).frames_THWC, SIZE))[None]
        with torch.inference_mode():
            by_strategy = [
                whole(images, export_feat_layers=[4], ref_view_strategy=strategy)
                for strategy in ("first", "saddle_balanced")
            ]
        first, default = (out.aux["feat_layer_4"][0].flatten(1) for out in by_strategy)
        nearest = torch.cdist(default, first).argmin(1).tolist()
        if nearest != [0, 1, 2, 3, 4]:
            assert sorted(nearest) == [0, 1, 2, 3, 4]
            return
    pytest.fail("no clip of ten came in another order")


def test_the_metric_network_says_what_upstreams_forward_says(ours: FoundationTeacher) -> None:
    metric = ours.metric
    assert metric is not None
    images = resize_frames(clip(3).frames_THWC, SIZE)
    net = stir(metric.net, 5)
    with torch.no_grad():
        # a sky head that sees sky in some pixels
        net.head.scratch.sky_output_conv2[-1].bias.fill_(0.0)
    with torch.inference_mode():
        depth, sky = metric(images, ours.placement)
        out = net(normalise(images)[None])
    assert 10 < int((sky >= 0.3).sum()) < sky.numel() - 10
    np.testing.assert_allclose(sky, out.sky[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(depth, out.depth[0], rtol=1e-5)


def test_the_scale_is_the_one_of_the_written_rule(ours: FoundationTeacher) -> None:
    seen = clip(4)
    (said,) = ours([seen])
    with torch.inference_mode():
        canonical, sky = (
            t.numpy().astype(float)
            for t in ours.metric(resize_frames(seen.frames_THWC, SIZE), ours.placement)
        )
    fov = said.pose_encoding_TK[:, 7:].astype(float)
    focal = (SIZE[0] / 2 / np.tan(fov[:, 0] / 2) + SIZE[1] / 2 / np.tan(fov[:, 1] / 2)) / 2
    Z, D = canonical * focal[:, None, None] / 300, said.depth_THW.astype(float)
    ground = sky < 0.3
    chosen = ground & (said.confidence_THW >= np.median(said.confidence_THW[ground]))
    chosen &= (Z > 0.01) & (D > 0.001)
    expected = (Z * D)[chosen].sum() / (D * D)[chosen].sum()
    assert said.metric_scale_valid and said.metric_scale == pytest.approx(expected, rel=1e-4)


def close(one: GeometryTargets, other: GeometryTargets, tolerance: float = 1e-4) -> None:
    for name in ("pose_encoding_TK", "depth_THW", "confidence_THW", "features_NTHWC"):
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)
    assert one.metric_scale == pytest.approx(other.metric_scale, rel=tolerance)


def test_clips_together_say_what_each_says_alone_in_their_order(ours: FoundationTeacher) -> None:
    """More frames than upstream's heads take at once, clips of several shapes, a clip of one."""
    clips = [clip(9), clip(2, seed=1), clip(9, seed=2), clip(1, 64, 48, seed=3), clip(9, seed=4)]
    together = ours(clips)
    assert [len(said.depth_THW) for said in together] == [9, 2, 9, 1, 9]
    assert together[3].depth_THW.shape == (1, 112, 84)
    for seen, said in zip(clips, together, strict=True):
        close(ours([seen])[0], said)
    assert ours([]) == []


class Crowded:
    """A network whose GPU holds two clips."""

    def __init__(self, network: Any) -> None:
        self.network, self.calls = network, list[int]()
        self.card, self.feature_dim, self.multiple = network.card, 384, network.multiple
        self.key = network.key

    def __call__(self, images: torch.Tensor, placement: Any) -> Any:
        self.calls.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError
        return self.network(images, placement)


def test_fewer_clips_go_together_where_memory_is_short(ours: FoundationTeacher) -> None:
    crowded = Crowded(ours.network)
    config = ours.config.model_copy(update={"clips_per_call": 5})
    placement = ours.placement
    made = FoundationTeacher(crowded, ours.metric, config, longer_side=112, placement=placement)
    clips = [clip(2, seed=seed) for seed in range(5)]
    for said, expected in zip(made(clips), ours(clips), strict=True):
        close(said, expected)
    assert crowded.calls == [5, 2, 3, 1, 2]


@pytest.mark.fault(29)
def test_the_key_holds_what_decides_and_not_how_many_go_together() -> None:
    base = teacher()
    assert base.key() == teacher(clips_per_call=3).key()
    others = [
        teacher(longer_side=140),
        teacher(metric=METRIC),
        teacher(scale_estimator="median"),
        teacher(precision="bf16"),
        teacher(feature_layers=[2, 4, 6, 8]),
    ]
    keys = [str(made.key()) for made in (base, *others)]
    assert len(set(keys)) == len(keys)
    assert base.card.weights_digest == "random-init-0" and base.feature_dim == 384
    assert base.key()["network"]["package"] == "depth-anything-3 0.1.1"


def test_without_a_metric_teacher_no_scale_is_made_up() -> None:
    (said,) = teacher()([clip(2)])
    assert not said.metric_scale_valid
    assert not decode(encode(said)).metric_scale_valid


def test_only_the_trunk_runs_in_bf16(published: Path) -> None:
    made = teacher(weights={"path": str(published)}, precision="bf16", metric=METRIC)
    exact = teacher(weights={"path": str(published)}, metric=METRIC)
    lowered: dict[str, set[bool]] = {}

    def watch(name: str, module: nn.Module) -> None:
        module.register_forward_pre_hook(
            lambda *_: lowered.setdefault(name, set()).add(torch.is_autocast_enabled("cpu"))
        )

    net, metric = made.network.net, made.metric.net
    watch("trunk", net.backbone.pretrained.blocks[3])
    watch("camera", net.cam_dec.fc_t)
    watch("depth", net.head.projects[0])
    watch("metric trunk", metric.backbone.pretrained.blocks[3])
    watch("metric depth", metric.head.projects[0])
    (said,), (expected,) = made([clip(3)]), exact([clip(3)])
    assert lowered == {
        "trunk": {True},
        "camera": {False},
        "depth": {False},
        "metric trunk": {True},
        "metric depth": {False},
    }
    assert all(getattr(said, n).dtype == np.float32 for n in ("depth_THW", "features_NTHWC"))
    assert np.median(np.abs(said.depth_THW / expected.depth_THW - 1)) < 0.05


def test_importing_it_lets_no_config_file_run_code() -> None:
    from omegaconf import OmegaConf
    from omegaconf.errors import UnsupportedInterpolationType

    teacher()
    with pytest.raises(UnsupportedInterpolationType):
        OmegaConf.to_container(OmegaConf.create({"a": "${eval:'1 + 1'}"}), resolve=True)


def test_it_says_nothing_to_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    teacher()([clip(3)])
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("architecture", "layers", "channels"),
    [
        ("da3-giant", (18, 26, 32, 38), 1536),
        ("da3-large", (10, 14, 18, 22), 1024),
        ("da3-base", (4, 6, 8, 10), 768),
    ],
)
def test_the_real_sizes_have_the_papers_layers_and_channels(
    architecture: str, layers: tuple[int, ...], channels: int
) -> None:
    with without_numbers():
        net: Any = _relative(architecture)
    network = DepthAnything3(lambda: net, card_of("x", "DA3-BASE", "d", random=False), architecture)
    assert (network.layers, network.feature_dim) == (layers, channels)
    assert net.backbone.pretrained.embed_dim == channels
    # depth and pose come from the layers above them, of the local and the global stream
    assert tuple(net.backbone.out_layers) == tuple(layer + 1 for layer in layers)
    assert net.cam_dec.fc_t.in_features == 2 * channels


def test_weights_of_another_size_are_refused(published: Path) -> None:
    with pytest.raises(UserError, match=str(published)):
        teacher(checkpoint="DA3-BASE", weights={"path": str(published)}).load()


@pytest.fixture
def clips(template: Path, tmp_path: Path) -> ClipSet:
    data = template / "data/rooms"
    questions = [{"path": str(data / "train_questions.jsonl"), "split": "train"}]
    config = IngestConfig(
        store=str(tmp_path / "store"),
        videos=str(data / "videos"),
        questions=questions,
        sampler={"kind": "fps", "fps": 2.0, "min_frames": 4, "max_frames": 4},
    )
    return ingest(config, output=tmp_path / "clips")


def test_a_rerun_does_not_even_need_the_weights(
    clips: ClipSet, published: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.safetensors"
    shutil.copy(published, weights)
    settings = {
        "checkpoint": "DA3-SMALL", "longer_side": 56,
        "weights": {"path": str(weights), "sha256": sha256_file(weights)},
    }  # fmt: skip
    config = ExtractTargetsConfig.model_validate(
        {
            "store": str(tmp_path / "store"),
            "teacher": "depth_anything3",
            "depth_anything3": settings,
        }
    )
    first = extract_targets(config, clips=clips, output=tmp_path / "targets")
    weights.unlink()
    again = extract_targets(config, clips=clips, output=tmp_path / "again")
    assert (again.manifest.details["teacher_calls"], again.digest) == (0, first.digest)
    (tmp_path / "store" / first.index["object_key"].iloc[3]).unlink()
    with pytest.raises(UserError, match="no such weights file"):
        extract_targets(config, clips=clips, output=tmp_path / "again")


def test_from_videos_to_a_training_step_at_random_initialisation(
    clips: ClipSet, template: Path, tmp_path: Path, blank_database: Path
) -> None:
    store = str(tmp_path / "store")
    settings = {
        "checkpoint": "DA3-SMALL", "weights": {"random_init": 1}, "longer_side": 56,
        "metric": METRIC, "clips_per_call": 4,
    }  # fmt: skip
    config = ExtractTargetsConfig.model_validate(
        {"store": store, "teacher": "depth_anything3", "depth_anything3": settings}
    )
    targets = extract_targets(config, clips=clips, output=tmp_path / "targets")
    details = targets.manifest.details
    assert (details["teacher_calls"], details["feature_dim"]) == (8, 384)
    assert (details["depth_size"], details["feature_grid"]) == ([56, 56], [2, 2])
    assert details["teacher"]["commercial_use"] is False
    assert [part["name"] for part in details["teacher"]["parts"]] == [
        "depth_anything3/DA3-SMALL",
        "metric/DA3METRIC-LARGE",
    ]
    again = extract_targets(config, clips=clips, output=tmp_path / "again")
    assert (again.manifest.details["teacher_calls"], again.digest) == (0, targets.digest)
    # what random weights say is not plausible; it must be sound in every other respect
    (tmp_path / "geovr-home").mkdir(exist_ok=True)
    shutil.copy(blank_database, tmp_path / "geovr-home/mlflow.db")
    anything = {"min_fov_degrees": 1e-6, "min_scale": 1e-9, "max_scale": 1e9}
    checked = check_targets(
        CheckTargetsConfig.model_validate({"store": store, "thresholds": anything}),
        clips=clips,
        targets=TargetSet.load(tmp_path / "targets"),
        output=tmp_path / "report",
    )
    assert checked.manifest.details["passed"]
    heads = {
        "camera_hidden": 16, "scale_hidden": 8, "depth_channels": [8, 8, 8, 8],
        "depth_features": 8, "depth_patch": 7,
    }  # fmt: skip
    trained = train(
        TrainConfig.model_validate(
            {
                "store": store, "base_model": str(template / ".geovr/models/study"), "steps": 1,
                "clips_per_batch": 4, "heads": heads,
            }
        ),
        clips=clips,
        targets=targets,
        output=tmp_path / "checkpoint",
    )  # fmt: skip
    assert trained.manifest.details["steps"] == 1
    assert np.isfinite(trained.manifest.details["final_loss"])
    assert trained.manifest.details["teacher"] == details["teacher"]
