"""Who reads the steps decides nothing: equal batches and equal weights, to the last bit."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import AutoProcessor

from geovr.data.batch import Batch
from geovr.data.loader import read_ahead
from geovr.data.table import Rows, RowsByClip
from geovr.training.config import TrainConfig
from geovr.training.fit import make_reader
from tests.training.conftest import Prepared, Result

pytestmark = pytest.mark.usefixtures("tracked")


def tensors(value: Any) -> list[torch.Tensor]:
    """All tensors of a batch, its targets' too."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, tuple):
        return [tensor for item in value for tensor in tensors(item)]
    if hasattr(value, "__dataclass_fields__"):
        return [t for field in fields(value) for t in tensors(getattr(value, field.name))]
    return []


def test_any_number_of_processes_reads_the_same_batches(prepared: Prepared, tmp_path: Path) -> None:
    config = TrainConfig.model_validate(prepared.values(tmp_path, clips_per_batch=4))
    processor = AutoProcessor.from_pretrained(prepared.model, local_files_only=True)
    questions = prepared.clips.questions.query("split == 'train'").reset_index(drop=True)
    reader = make_reader(config, prepared.clips, prepared.targets, processor, questions, 0)
    read: dict[int, list[list[Batch]]] = {}
    for workers in (0, 1, 3):
        with read_ahead(reader, 2, 8, workers=workers) as steps:
            read[workers] = list(steps)
    expected = [reader(step) for step in range(2, 8)]
    assert all(len(tensors(batch)) > 30 for step in expected for batch in step)
    for found in read.values():
        for one, other in zip(found, expected, strict=True):
            for batch, same in zip(one, other, strict=True):
                assert batch.counts() == same.counts()
                for a, b in zip(tensors(batch), tensors(same), strict=True):
                    assert a.dtype == b.dtype and a.stride() == b.stride() and torch.equal(a, b)


def test_training_with_a_reading_process_ends_with_the_same_bytes(
    prepared: Prepared, tmp_path: Path, whole: Result
) -> None:
    assert prepared.train(tmp_path, data_workers=1).same(whole)


def test_rows_of_a_table_are_what_the_frame_holds() -> None:
    frame = pd.DataFrame(
        {"clip_id": ["a", "b"], "options": [None, ["A. x", "B. y"]], "frames": [4, 8]}
    )
    rows = RowsByClip(frame)
    assert (rows["b"].options, rows["b"].frames, rows["a"].options) == (["A. x", "B. y"], 8, None)
    assert "b" in rows and "c" not in rows
    few = Rows(frame[1:], ("frames",))
    assert len(few) == 1 and vars(few[0]) == {"frames": 8}
    for place in (-1, 1):
        with pytest.raises(IndexError, match=f"no row {place} of 1"):
            few[place]
