"""FFmpeg's codecs through PyAV, the renderer, and the base model's directory."""

from __future__ import annotations

import io
from pathlib import Path

from geovr.doctor.finding import Needs, Trouble

DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg4")
_REINSTALL = "reinstall PyAV's wheel, which brings FFmpeg: make setup"


def video(needs: Needs) -> str:
    """Eight frames to H.264 and back, and the decoders of other videos."""
    import av
    import numpy as np

    from geovr.simulation.video import encode_mp4

    level_N = np.arange(8, dtype=np.uint8) * 30
    rgb_NHWC = np.broadcast_to(level_N[:, None, None, None], (8, 48, 64, 3)).copy()
    with av.open(io.BytesIO(encode_mp4(rgb_NHWC, 2))) as container:
        back = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    if back.shape != rgb_NHWC.shape:
        raise Trouble(f"{len(back)} frames came back of {len(rgb_NHWC)}", _REINSTALL)
    if int(np.abs(back.astype(int) - rgb_NHWC).max()) > 8:
        raise Trouble("H.264 frames come back with other colours", _REINSTALL)
    missing = [name for name in DECODERS if not _decodes(name)]
    if missing:
        raise Trouble(f"no decoder of {', '.join(missing)}", _REINSTALL)
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"H.264 written and read; {', '.join(DECODERS)} can be read; libavcodec {version}"


def _decodes(name: str) -> bool:
    import av

    try:
        return bool(av.Codec(name, "r").is_decoder)
    except ValueError:  # what PyAV raises for a codec it doesn't know
        return False


def renderer(needs: Needs) -> str:
    """Embree hits a triangle two metres away."""
    import numpy as np
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene = EmbreeScene()
    corners = np.array([[-1, -1, 2], [1, -1, 2], [0, 1, 2]], np.float32)
    _geometry = TriangleMesh(scene, corners, np.arange(3, dtype=np.int32).reshape(1, 3))
    hits = scene.run(np.zeros((1, 3), np.float32), np.array([[0, 0, 1]], np.float32), output=True)
    if int(hits["primID"][0]) != 0 or abs(float(hits["tfar"][0]) - 2) > 1e-5:
        raise Trouble("embree misses a triangle", "reinstall embreex: make setup")
    return "embree hits what it should"


def base_model(needs: Needs) -> str:
    """The directory of train.base_model, as far as it can be seen without loading it."""
    if not needs.base_model:
        raise Trouble(
            "train.base_model is not set", "name a directory of a Qwen3-VL model", "missing"
        )
    directory = Path(needs.base_model)
    names = ("config.json", "tokenizer.json", "*processor_config.json", "*.safetensors")
    lacks = [name for name in names if not list(directory.glob(name))]
    if lacks:
        raise Trouble(
            f"{directory} lacks {', '.join(lacks)}",
            f"geovr init-model --preset study --output {directory} makes a tiny one; one that is"
            " published is downloaded with its hub's own client",
            "failed" if directory.is_dir() else "missing",
        )
    return f"{directory}"
