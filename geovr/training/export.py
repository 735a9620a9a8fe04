"""What finished training leaves in the store: a stock Qwen3-VL, heads, curve, and a mark, last."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geovr.artifacts import git_sha
from geovr.config import Config, canonical_json
from geovr.storage import Store, write_atomic

if TYPE_CHECKING:
    from geovr.model.geovr import GeoVR

log = logging.getLogger("geovr")


class Finished(Config):
    """The mark."""

    files: dict[str, str]
    steps: int
    clips_shortened: int
    final_loss: float
    curve_sha256: str
    heads_sha256: str
    git_sha: str = "unknown"
    """Commit of the code that trained."""


def read_finished(store: Store, prefix: str) -> Finished | None:
    """What finished training left; None when it isn't finished, or something of it is gone."""
    key = f"{prefix}/finished.json"
    if not store.exists(key):
        return None
    finished = Finished.model_validate_json(store.get(key))
    names = [f"{prefix}/export/{name}" for name in finished.files]
    names += [f"{prefix}/curve.jsonl", f"{prefix}/heads.safetensors"]
    missing = [name for name in names if not store.exists(name)]
    if missing:
        log.warning("train: %s is gone; exporting again", store.uri_of(missing[0]))
        return None
    return finished


def write_finished(
    store: Store,
    prefix: str,
    model: GeoVR,
    processor: Any,
    curve: list[dict[str, float]],
    *,
    card: str,
    base_model_digest: str,
    clips_shortened: int,
) -> None:
    """Export a trained model. Adapters are merged into it, so it is of no use for training after.

    Args:
        store: where.
        prefix: of the training.
        model: trained.
        processor: of its base model.
        curve: metrics of every step.
        card: the README.md of the export.
        base_model_digest: of what it started from.
        clips_shortened: clips that were shown with fewer frames.
    """
    from geovr.model.heads_file import encode_heads
    from geovr.model.lora import merge_adapters

    merge_adapters(model.backbone)
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        model.backbone.save_pretrained(directory)
        processor.save_pretrained(directory)
        write_atomic(directory / "README.md", card.encode())
        files = store.put_directory(f"{prefix}/export", directory)
    lines = "".join(canonical_json(metrics) + "\n" for metrics in curve)
    finished = Finished(
        files=files,
        steps=len(curve),
        clips_shortened=clips_shortened,
        final_loss=next(m["loss"] for m in reversed(curve) if "loss" in m),
        curve_sha256=store.put(f"{prefix}/curve.jsonl", lines.encode()),
        heads_sha256=store.put(
            f"{prefix}/heads.safetensors", encode_heads(model, base_model_digest)
        ),
        git_sha=git_sha(),
    )
    store.put(f"{prefix}/finished.json", finished.model_dump_json().encode())
