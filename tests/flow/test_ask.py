"""`geovr ask`: what a registered model says about a file is what evaluation heard it say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from geovr.artifacts import ClipSet
from geovr.evaluation.predictions import read_file
from tests.workspace import Workspace


@pytest.fixture(scope="module")
def heard(flown: Workspace) -> list[dict[str, Any]]:
    """A question of each kind, with its options, video and the recorded answer."""
    clips = ClipSet.load(flown.root / "artifacts/clips")
    (kept,) = (flown.root / ".geovr/store/evaluation").glob("*/predictions.jsonl")
    said = {row["id"]: row["text"] for row in read_file(kept).rows}
    table = clips.questions[clips.questions["id"].isin(list(said))]
    videos = clips.index.set_index("clip_id")["video_uri"]
    return [
        {
            "question": row.question,
            "options": [] if row.options is None else [o.split(". ", 1)[1] for o in row.options],
            "video": str(videos[row.clip_id]),
            "said": said[row.id],
        }
        for row in table.drop_duplicates("kind").itertuples(index=False)
    ]


def asked(flown: Workspace, item: dict[str, Any], *more: str) -> dict[str, Any]:
    options = [part for option in item["options"] for part in ("--option", option)]
    told = flown.inline(
        "ask", item["question"], "--video", item["video"], *options, "--json", *more
    )
    told = told[told.index("{") : told.rindex("}") + 1]
    found: dict[str, Any] = json.loads(told)
    return found


def test_a_registered_model_a_checkpoint_and_an_evaluation_agree(
    flown: Workspace, heard: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert len(heard) > 4 and any(item["options"] for item in heard)
    for item in heard:
        assert asked(flown, item)["answer"] == item["said"]
    picture = tmp_path / "seen.png"
    by_number = asked(flown, heard[0], "--model", "models:/geovr/1", "--frames", str(picture))
    assert by_number["answer"] == heard[0]["said"] and by_number["model"] == "geovr version 1"
    assert Image.open(picture).size[0] > 100
    directly = asked(flown, heard[0], "--model", "artifacts/checkpoint")
    assert directly["answer"] == heard[0]["said"] and len(directly["frames"]) > 1
    fewer = asked(flown, heard[0], "--num-frames", "2")
    assert len(fewer["frames"]) == 2 and fewer["tokens"] < directly["tokens"]


def test_a_stock_directory_answers_in_its_own_words(
    flown: Workspace, heard: list[dict[str, Any]]
) -> None:
    told = asked(flown, heard[0] | {"options": []}, "--model", ".geovr/models/study", "--free")
    assert isinstance(told["answer"], str) and told["model"] == ".geovr/models/study"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--model", "models:/geovr@nobody"), "there is no such version"),
        (("--model", "models:/geovr/99"), "there is no such version"),
        (("--model", "models:/nothing/1"), "there is no such version"),
        (("--model", "models:geovr"), "models:/NAME@ALIAS"),
        (("--model", "nowhere"), "nowhere"),
        (("--video", "nothing.mp4"), "nothing.mp4: no such video file"),
        (("--video", "params.yaml"), "params.yaml: "),
    ],
)
def test_what_is_not_there_is_named(
    flown: Workspace, heard: list[dict[str, Any]], arguments: tuple[str, ...], told: str
) -> None:
    video = () if "--video" in arguments else ("--video", heard[0]["video"])
    with pytest.raises(AssertionError) as ended:
        flown.inline("ask", "How far?", *video, *arguments)
    assert "ended 2" in str(ended.value) and told in str(ended.value)
