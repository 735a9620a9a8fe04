"""Question files in the layouts of the public data sets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

DATASET = "rooms"
VIDEO_PREFIX = "<image>\nThese are frames of a video.\n"
NUMBER_INSTRUCTION = "Please answer the question using a single word or phrase."
LETTER_INSTRUCTION = "Answer with the option's letter from the given choices directly."

QuestionRecord = Mapping[str, Any]
"""kind, question, options (lettered, or None), answer."""


def vsi_590k_row(scene: str, question: QuestionRecord) -> dict[str, Any]:
    """A training row: one conversation of two turns about one video, as VSI-590K has them."""
    lines = [question["question"]]
    if question["options"]:
        lines += ["Options:", *question["options"], LETTER_INSTRUCTION]
    else:
        lines.append(NUMBER_INSTRUCTION)
    return {
        "conversations": [
            {"from": "human", "value": VIDEO_PREFIX + "\n".join(lines)},
            {"from": "gpt", "value": question["answer"]},
        ],
        "video": f"{DATASET}/{scene}.mp4",
        "question_type": question["kind"],
    }


def vsi_bench_row(identity: int | str, scene: str, question: QuestionRecord) -> dict[str, Any]:
    """A test row, as VSI-Bench's test.jsonl has them; numbers are strings there."""
    return {
        "id": identity,
        "dataset": DATASET,
        "scene_name": scene,
        "question_type": question["kind"],
        "question": question["question"],
        "ground_truth": question["answer"],
        "options": list(question["options"]) if question["options"] else None,
    }


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    """One JSON object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
