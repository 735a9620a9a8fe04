"""The suite on clips and questions, and the columns it looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from geovr.config import Config
from geovr.quality.suites import Expectation, between, true

if TYPE_CHECKING:
    import pandas as pd

    from geovr.artifacts import ClipSet


class ClipThresholds(Config):
    """Where the line is drawn."""

    max_quarantined_videos: float = Field(
        0.05, ge=0, le=1, description="Share of the videos that may be put aside."
    )
    max_quarantined_questions: float = Field(
        0.05, ge=0, le=1, description="Share of the questions that may be put aside."
    )
    min_side: int = Field(16, gt=0, description="Pixels of a frame's shorter side, at least.")
    max_letter_share: float = Field(
        0.7, gt=0, le=1, description="Share of one letter among a kind's answers (warning)."
    )


THRESHOLDS = ClipThresholds


def suite(limits: ClipThresholds) -> list[Expectation]:
    """What clips and questions must be before anything is spent on them."""
    clips, questions, whole, kinds = "clips", "questions", "whole", "kinds"
    return [
        between(whole, "clips", 1, None, "There is at least one clip."),
        between(
            whole,
            "quarantined_videos",
            0,
            limits.max_quarantined_videos,
            "Few videos were put aside: many mean a broken source, not broken files.",
        ),
        between(
            whole,
            "quarantined_questions",
            0,
            limits.max_quarantined_questions,
            "Few questions were put aside.",
        ),
        Expectation(
            table=clips,
            type="expect_column_values_to_be_unique",
            kwargs={"column": "clip_id"},
            why="A clip has one name.",
        ),
        between(clips, "num_frames", 1, None, "A clip shows something."),
        true(clips, "times_increase", "Frames follow each other in time."),
        between(clips, "shorter_side", limits.min_side, None, "Frames are large enough to see."),
        true(clips, "object_present", "The clip's object is in the store, with its size."),
        true(clips, "scene_in_one_split", "No scene is trained on and tested on."),
        true(clips, "content_in_one_split", "No video's bytes are trained on and tested on."),
        true(clips, "content_once", "A video comes once.", "warning"),
        true(clips, "has_questions", "A clip is asked about.", "warning"),
        Expectation(
            table=questions,
            type="expect_column_values_to_be_unique",
            kwargs={"column": "id"},
            why="A question has one id.",
        ),
        true(questions, "joins_a_clip", "A question's clip is there."),
        Expectation(
            table=questions,
            type="expect_column_values_to_be_in_set",
            kwargs={"column": "split", "value_set": ["train", "test"]},
            why="A question is for training or for testing.",
        ),
        true(questions, "answer_valid", "The answer is one of the options, or a number."),
        between(
            kinds,
            "largest_letter_share",
            0,
            limits.max_letter_share,
            "No letter is the answer nearly always.",
            "warning",
        ),
    ]


def tables(clips: ClipSet) -> dict[str, pd.DataFrame]:
    """The frames that the suite looks at; `name` identifies a row."""
    import pandas as pd

    counts = clips.manifest.counts
    share = {
        what: counts[f"{what}_quarantined"] / max(counts[f"{what}_in"], 1)
        for what in ("videos", "questions")
    }
    whole = pd.DataFrame(
        [
            {
                "name": "the ClipSet",
                "clips": len(clips.index),
                "quarantined_videos": share["videos"],
                "quarantined_questions": share["questions"],
            }
        ]
    )
    asked = _questions(clips)
    return {
        "whole": whole,
        "clips": _clips(clips, asked),
        "questions": asked,
        "kinds": _letters(asked),
    }


def _clips(clips: ClipSet, asked: pd.DataFrame) -> pd.DataFrame:
    import numpy as np

    frame = clips.index.copy()
    frame["name"] = frame["clip_id"]
    frame["times_increase"] = [bool(np.all(np.diff(times) > 0)) for times in frame["timestamps"]]
    frame["shorter_side"] = frame[["height", "width"]].min(axis=1)
    store = clips.store
    frame["object_present"] = [
        store.size(key) == size
        for key, size in zip(frame["object_key"], frame["object_bytes"], strict=True)
    ]
    # a question's split counts, not the clip's: one clip may be asked about in both
    used = asked.merge(frame[["clip_id", "scene", "video_sha256"]], on="clip_id")
    splits_of_scene = used.groupby("scene")["split"].nunique()
    splits_of_content = used.groupby("video_sha256")["split"].nunique()
    frame["scene_in_one_split"] = frame["scene"].map(splits_of_scene).fillna(1) <= 1
    frame["content_in_one_split"] = frame["video_sha256"].map(splits_of_content).fillna(1) <= 1
    frame["content_once"] = ~frame["video_sha256"].duplicated(keep=False)
    frame["has_questions"] = frame["clip_id"].isin(asked["clip_id"])
    return frame.drop(columns=["timestamps", "frame_indices"])


def _questions(clips: ClipSet) -> pd.DataFrame:
    import math

    frame = clips.questions.copy()
    frame["name"] = frame["source"].astype(str) + " (" + frame["id"].astype(str) + ")"
    frame["joins_a_clip"] = frame["clip_id"].isin(clips.index["clip_id"])

    def valid(answer: str, options: list[str] | None) -> bool:
        if options is not None and len(options):
            return answer in [option[:1] for option in options]
        try:
            return math.isfinite(float(answer)) and float(answer) >= 0
        except ValueError:
            return False

    frame["answer_valid"] = [
        valid(a, o) for a, o in zip(frame["answer"], frame["options"], strict=True)
    ]
    frame["choice"] = frame["options"].map(lambda options: options is not None and len(options) > 0)
    return frame.drop(columns=["options"])


def _letters(asked: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {
            "name": f"{split} {kind}",
            "largest_letter_share": group["answer"].value_counts(normalize=True).max(),
        }
        for (split, kind), group in asked[asked["choice"].astype(bool)].groupby(["split", "kind"])
        if len(group) >= 20
    ]
    return pd.DataFrame(rows, columns=["name", "largest_letter_share"])
