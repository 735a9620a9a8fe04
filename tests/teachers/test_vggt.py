"""VGGT and VGGT-Omega against upstream's own forward passes, wherever those can be imported.

Neither is on a package index, so CI skips these tests. They ran when the adapters were written, on
23 November 2026, against two trees laid on PYTHONPATH: `vggt` as it stands in
WHB139426/GeoVR-MLLM at aa5be40, and facebookresearch/vggt-omega at 39a0cb8. In a teacher image they
run as they are, and say whether its commits still fit:

    PYTHONPATH=DIRECTORY_WITH_vggt_AND_vggt_omega pytest tests/teachers/test_vggt.py
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from geovr.data.targets import GeometryTargets
from geovr.errors import UserError
from geovr.geometry.camera import decode_pose
from geovr.teachers import vggt, vggt_omega
from geovr.teachers.config import VggtConfig, VggtOmegaConfig
from geovr.teachers.frames import resize_frames
from geovr.teachers.licenses import card_of
from geovr.teachers.make import make_teacher
from geovr.teachers.runner import FoundationTeacher
from tests.teachers.networks import clip, stir, without_numbers

SIZES = {"vggt": (84, 112), "vggt_omega": (96, 128)}
SPECIALS = {"vggt": 5, "vggt_omega": 17}
LAYERS = (4, 11, 17, 23)


def available(package: str) -> str:
    pytest.importorskip(
        package,
        reason=f"{package} CAN'T BE IMPORTED, so its adapter is not compared with it here; put its"
        " repository on PYTHONPATH to do so",
    )
    return package


@pytest.fixture(params=["vggt", "vggt_omega"])
def package(request: pytest.FixtureRequest) -> str:
    return available(request.param)


def teacher(package: str, **values: Any) -> FoundationTeacher:
    config = {"vggt": VggtConfig, "vggt_omega": VggtOmegaConfig}[package]
    settings = {"size": "tiny", "weights": {"random_init": 0}, "longer_side": SIZES[package][1]}
    made = make_teacher(config.model_validate(settings | values))
    assert isinstance(made, FoundationTeacher)
    return made


def plausible(net: Any) -> Any:
    """Weights that all matter, and cameras that see between 0 and 180 degrees."""
    stir(net, 3)
    with torch.no_grad():
        head = net.camera_head
        last = head.pose_branch.fc2 if hasattr(head, "pose_branch") else head.camera_branch[-1]
        last.weight.mul_(0.1)
        last.bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.1, -0.2, 0.1, 0.3, 0.25, 0.3]))
    return net


def own_forward(net: Any, images: torch.Tensor) -> dict[str, Any]:
    """Upstream's forward pass, and the tokens of all layers that its aggregator hands on."""
    kept: list[Any] = []
    hook = net.aggregator.register_forward_hook(lambda *a: kept.append(a[-1][0]))
    with torch.inference_mode(), warnings.catch_warnings(action="ignore"):
        out = net(images)
    hook.remove()
    return {**out, "tokens": kept[0]}


def test_all_that_is_said_is_what_upstream_says(package: str) -> None:
    made = teacher(package)
    H, W = SIZES[package]
    seen = clip(5)
    # a network of upstream's, untouched by the adapter
    untouched = pristine(package)
    made.network.net.load_state_dict(untouched.state_dict())
    (said,) = made([seen])
    images = resize_frames(seen.frames_THWC, (H, W))[None]
    out = own_forward(untouched, images)
    depth = out["depth"][0].reshape(5, H, W)
    np.testing.assert_allclose(said.depth_THW, depth, rtol=1e-4)
    np.testing.assert_allclose(said.confidence_THW, 1 - 1 / out["depth_conf"][0], atol=1e-5)
    pose = out["pose_enc"][0].double().numpy()
    t, q, fov = np.split(pose, [3, 7], axis=-1)
    assert ((fov > 0.01) & (fov < 3)).all()
    camera_from_world = np.tile(np.eye(4), (5, 1, 1))
    camera_from_world[:, :3, :3], camera_from_world[:, :3, 3] = Rotation.from_quat(q).as_matrix(), t
    relative = camera_from_world @ np.linalg.inv(camera_from_world[0])
    ours, intrinsics = decode_pose(torch.from_numpy(said.pose_encoding_TK).double(), (H, W))
    np.testing.assert_allclose(ours, relative, atol=1e-4)
    np.testing.assert_allclose(said.pose_encoding_TK[:, 7:], fov, atol=1e-5)
    np.testing.assert_allclose(intrinsics[:, 1, 1], H / 2 / np.tan(fov[:, 0] / 2), rtol=1e-4)
    assert (np.abs(said.pose_encoding_TK[1:, :7] - [0, 0, 0, 0, 0, 0, 1]).max(-1) > 1e-3).all()
    for place, layer in enumerate(LAYERS):
        tokens = out["tokens"][layer][0, :, SPECIALS[package] :]
        frame_half = tokens[..., : made.feature_dim].reshape(5, 3, 2, 4, 2, made.feature_dim)
        expected = frame_half.numpy().mean((2, 4))
        np.testing.assert_allclose(said.features_NTHWC[place], expected, atol=1e-4)


def pristine(package: str) -> Any:
    """A network as upstream builds it, before an adapter has seen it."""
    net = vggt._tiny() if package == "vggt" else vggt_omega._build("tiny")
    return plausible(net.eval())


def test_upstreams_own_decoder_reads_the_poses_as_ours_does(package: str) -> None:
    if package == "vggt":
        from vggt.utils.pose_enc import pose_encoding_to_extri_intri as theirs
    else:
        from vggt_omega.utils.pose_enc import encoding_to_camera as theirs
    random = torch.Generator().manual_seed(0)
    pose = torch.rand(1, 6, 9, generator=random) + 0.2
    extrinsics, intrinsics = theirs(pose, (84, 112))
    poses, ours = decode_pose(pose[0].double(), (84, 112))
    np.testing.assert_allclose(poses[:, :3], extrinsics[0], atol=1e-5)
    np.testing.assert_allclose(ours, intrinsics[0], rtol=1e-4)


def test_layers_that_no_one_reads_are_not_kept(package: str) -> None:
    made = teacher(package)
    with torch.inference_mode():
        tokens, _ = made.network.net.aggregator(torch.rand(1, 2, 3, *SIZES[package]))
    held = [t.numel() if t is not None else 0 for t in tokens]
    assert len(held) == 24 and [i for i, count in enumerate(held) if count] == list(LAYERS)


def test_the_real_size_has_the_papers_channels(package: str) -> None:
    with without_numbers():
        net: Any = vggt._full() if package == "vggt" else vggt_omega._build("1b")
    card = card_of("x", "VGGT-1B", "d", random=False)
    network = {"vggt": vggt.Vggt, "vggt_omega": vggt_omega.VggtOmega}[package](
        lambda: net, card, "1b"
    )
    assert net.aggregator.camera_token.shape[-1] == 1024
    assert (network.feature_dim, len(net.aggregator.frame_blocks)) == (1024, 24)
    parts = {name.split(".")[0] for name, _ in net.named_parameters()}
    assert parts == {
        "aggregator",
        "camera_head",
        f"{'depth' if package == 'vggt' else 'dense'}_head",
    }


def test_heads_run_in_float32_when_the_trunk_is_bf16(package: str) -> None:
    made = teacher(package, precision="bf16")
    exact = teacher(package)
    for each in (made, exact):
        plausible(each.network.net)
    net = made.network.net
    lowered: dict[str, bool] = {}

    def watch(name: str, module: nn.Module) -> None:
        module.register_forward_pre_hook(
            lambda *_: lowered.__setitem__(name, torch.is_autocast_enabled("cpu"))
        )

    watch("trunk", net.aggregator.frame_blocks[3])
    watch("camera", net.camera_head.trunk_norm)
    watch("depth", (net.depth_head if package == "vggt" else net.dense_head).projects[0])
    (said,), (expected,) = made([clip(3)]), exact([clip(3)])
    assert lowered == {"trunk": True, "camera": False, "depth": False}
    np.testing.assert_allclose(said.pose_encoding_TK, expected.pose_encoding_TK, atol=0.1)
    assert said.pose_encoding_TK.dtype == np.float32


def test_clips_together_say_what_each_says_alone(package: str) -> None:
    made = teacher(package, clips_per_call=2)
    plausible(made.network.net)
    clips = [clip(9), clip(9, seed=1), clip(1, seed=2)]
    for seen, said in zip(clips, made(clips), strict=True):
        (alone,) = made([seen])
        same(alone, said)


def same(one: GeometryTargets, other: GeometryTargets) -> None:
    for name in ("pose_encoding_TK", "depth_THW", "confidence_THW", "features_NTHWC"):
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4, err_msg=name)


def test_random_initialisation_is_finite_and_the_seeds(package: str) -> None:
    (one,), (again,) = (teacher(package)([clip(2)]) for _ in range(2))
    assert np.isfinite(one.depth_THW).all() and np.isfinite(one.features_NTHWC).all()
    same(one, again)


@pytest.mark.parametrize(
    ("module", "config"), [("vggt", VggtConfig), ("vggt_omega", VggtOmegaConfig)]
)
def test_a_missing_package_is_named_with_a_remedy(
    module: str, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"docs/teachers\.md"):
        make_teacher(config(size="tiny", weights={"random_init": 0}))
