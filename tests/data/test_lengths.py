"""Samples over the limit are refused by name or shortened by whole frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from geovr.artifacts import ClipSet
from geovr.data.dataset import BatchMaker
from geovr.data.input import InputConfig
from geovr.data.lengths import frames_to_keep
from geovr.data.order import questions_by_clip
from geovr.errors import UserError
from geovr.model.forward import load_backbone
from tests.workspace import Workspace


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, template: Any) -> tuple[ClipSet, Any]:
    from tests.workspace import make_workspace

    workspace: Workspace = make_workspace(tmp_path_factory.mktemp("lengths") / "work", template)
    workspace.inline("ingest")
    _, processor = load_backbone(workspace.root / ".geovr/models/study")
    return ClipSet.load(workspace.root / "artifacts/clips"), processor


def maker(clips: ClipSet, processor: Any, config: InputConfig) -> tuple[BatchMaker, pd.DataFrame]:
    questions = clips.questions.reset_index(drop=True)
    made = BatchMaker(
        clips, None, processor, questions, numeric="binned", shown=config, camera=True, scale=True
    )
    return made, questions


def real_lengths(made: BatchMaker, questions: pd.DataFrame) -> dict[str, int]:
    """Tokens of each clip's longest sample, counted on real batches of one question each."""
    lengths: dict[str, int] = {}
    for clip_id, places in questions_by_clip(questions).items():
        for place in places:
            batch = made.batch_of([clip_id], [[made.branch(place, answered=True)]])
            lengths[clip_id] = max(lengths.get(clip_id, 0), batch.input_ids_BL.shape[1])
    return lengths


@pytest.mark.fault(40)
def test_the_limit_is_exact(clips: tuple[ClipSet, Any]) -> None:
    made, questions = maker(*clips, InputConfig())
    lengths = real_lengths(made, questions)
    by_clip = questions_by_clip(questions)
    longest = max(lengths.values())
    assert frames_to_keep(made, by_clip, InputConfig(max_tokens=longest)) == {}
    too_long = sorted(clip for clip, length in lengths.items() if length == longest)
    with pytest.raises(UserError, match="max_tokens") as caught:
        frames_to_keep(made, by_clip, InputConfig(max_tokens=longest - 1))
    assert f"{len(too_long)} of {len(by_clip)} clips" in str(caught.value)
    assert f"{too_long[0]} ({longest} tokens" in str(caught.value)


@pytest.mark.fault(40)
@pytest.mark.parametrize("pairing", ["doubled", "pairs"])
def test_whole_frames_are_dropped_until_it_fits(clips: tuple[ClipSet, Any], pairing: str) -> None:
    config = InputConfig(frame_pairing=pairing, over_length="drop_frames")  # type: ignore[arg-type]
    made, questions = maker(*clips, config)
    lengths = real_lengths(made, questions)
    limit = int(0.8 * max(lengths.values()))
    config = config.model_copy(update={"max_tokens": limit})
    kept = frames_to_keep(made, questions_by_clip(questions), config)
    assert set(kept) == {clip for clip, length in lengths.items() if length > limit}
    made, _ = maker(*clips, config)
    made.kept_frames = kept
    shown = real_lengths(made, questions)
    assert max(shown.values()) <= limit
    for clip_id, frames in kept.items():
        assert frames[0] == 0 and (np.diff(frames) > 0).all()
        pixels, times = made.frames(clip_id)
        row = made.clip_rows[clip_id]
        assert len(pixels) == len(frames) == len(times)
        assert times.tolist() == np.asarray(row.timestamps)[frames].tolist()


def test_a_question_that_never_fits_is_named(clips: tuple[ClipSet, Any]) -> None:
    made, questions = maker(*clips, InputConfig())
    config = InputConfig(max_tokens=20, over_length="drop_frames")
    with pytest.raises(UserError, match="shorten the question"):
        frames_to_keep(made, questions_by_clip(questions), config)
