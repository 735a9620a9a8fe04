"""`geovr export`: a checkpoint as a directory that plain transformers loads."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from geovr.artifacts import Checkpoint
from geovr.errors import UserError

DTYPES = ("float32", "bfloat16")


def export_checkpoint(
    checkpoint: Checkpoint, directory: Path, dtype: str = "bfloat16", *, force: bool = False
) -> dict[str, int]:
    """Write the stock model, its processor, heads.safetensors, and the model card where it is
    registered; all of it or nothing.

    Every file is verified against the checkpoint's digests, and the directory is loaded with plain
    transformers before it takes its place.

    Args:
        checkpoint: of a finished training.
        directory: to be made; a directory that isn't empty is left alone unless `force`.
        dtype: of the model's weights.
        force: replace the directory.

    Returns:
        relative path -> bytes.

    Raises:
        UserError: for an unknown dtype, or a directory that isn't empty.
        StoreError: naming the checkpoint's file that is missing or damaged.
    """
    from geovr.promotion.card import NAME as CARD
    from geovr.promotion.card import card_key

    if dtype not in DTYPES:
        raise UserError(f"--dtype {dtype}: choose one of {', '.join(DTYPES)}")
    if directory.exists() and not directory.is_dir():
        raise UserError(f"{directory}: a file stands there; name a directory")
    if directory.is_dir() and any(directory.iterdir()) and not force:
        raise UserError(f"{directory}: not empty; name another directory, or add --force")
    details = checkpoint.manifest.details
    heads = checkpoint.store.get(details["heads"], details["heads_sha256"])
    directory.parent.mkdir(parents=True, exist_ok=True)
    # beside the target, so that the last step is a rename
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".geovr-export-") as scratch:
        source = checkpoint.store.get_directory(
            details["prefix"], details["files"], Path(scratch) / "source"
        )
        made = Path(scratch) / "made"
        _write(source, made, details["files"], dtype)
        (made / "heads.safetensors").write_bytes(heads)
        card = card_key(checkpoint.digest)
        if checkpoint.store.exists(card):
            (made / CARD).write_bytes(checkpoint.store.get(card))
        load_stock(made)
        made.chmod(0o755)
        if directory.exists():
            directory.rename(Path(scratch) / "replaced")
        made.rename(directory)
    return {
        path.relative_to(directory).as_posix(): path.stat().st_size
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def _write(source: Path, target: Path, files: dict[str, str], dtype: str) -> None:
    """The model in `dtype`, and everything beside it as it is."""
    import torch

    model = load_stock(source).to(getattr(torch, dtype))
    model.save_pretrained(target)
    for name in files:
        if not (target / name).exists() and not name.endswith(".safetensors"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)


def load_stock(directory: Path) -> Any:
    """The model by transformers' own class; a missing or unexpected tensor is an error."""
    from transformers import Qwen3VLForConditionalGeneration
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model, report = Qwen3VLForConditionalGeneration.from_pretrained(
        directory,
        dtype="auto",
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
    )
    wrong = {name: found for name, found in report.items() if found}
    if wrong:
        raise UserError(f"{directory}: not a whole Qwen3-VL: {wrong}; train again")
    return model
