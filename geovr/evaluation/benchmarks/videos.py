"""Layouts of questions about video files: VSI-Bench, ReVSI, VSTI-Bench and STI-Bench.

Field names were read in the publishers' evaluation code: vision-x-nyu/thinking-in-space (VSI),
EvolvingLMMs-Lab/lmms-eval tasks/revsi, VITA-Group/VLM-3R tasks/vstibench, MINT-SJTU/STI-Bench
openai_test.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from geovr.evaluation.benchmarks.item import (
    Medium,
    Parsed,
    RecordError,
    letter_of,
    lettered,
    missing,
    options_of,
    text_of,
)


def vsi(record: Mapping[str, Any], number: int) -> Parsed:
    """VSI-Bench: dataset, scene_name, question_type, question, options, ground_truth, pruned."""
    dataset, scene = text_of(record, "dataset"), text_of(record, "scene_name")
    options = options_of(record, "options")
    answer = text_of(record, "ground_truth")
    extra = {"dataset": dataset}
    if not missing(record.get("pruned")):
        extra["pruned"] = record["pruned"]
    return {
        "id": text_of(record, "id"),
        "scene": scene,
        "kind": text_of(record, "question_type"),
        "question": text_of(record, "question"),
        "options": options,
        "answer": letter_of(answer, options) if options else answer.strip(),
        "media": (Medium(f"{dataset}/{scene}.mp4"),),
        "extra": extra,
    }


def revsi(record: Mapping[str, Any], number: int) -> Parsed:
    """ReVSI: scene_id, num_frames, question_type, question, options, ground_truth.

    The videos differ with the number of frames that a model will see, and so do the answers.
    """
    scene, frames = text_of(record, "scene_id"), text_of(record, "num_frames")
    options = options_of(record, "options")
    answer = text_of(record, "ground_truth")
    return {
        "id": _identity(record, f"{frames}:{number}"),
        "scene": scene,
        "kind": text_of(record, "question_type"),
        "question": text_of(record, "question"),
        "options": options,
        "answer": letter_of(answer, options) if options else answer.strip(),
        "media": (Medium(f"{frames}_frame/{scene}.mp4"),),
        "extra": {"num_frames": frames},
    }


def vsti(record: Mapping[str, Any], number: int) -> Parsed:
    """VSTI-Bench: video_path, question_type, question, options, mc_answer, ground_truth."""
    video = text_of(record, "video_path", "video")
    options = options_of(record, "options")
    if options:
        answer = letter_of(text_of(record, "mc_answer", "ground_truth"), options)
    else:
        answer = text_of(record, "ground_truth").strip()
    scene = record.get("scene_name")
    return {
        "id": _identity(record, str(number)),
        "scene": str(scene) if not missing(scene) else PurePosixPath(video).stem,
        "kind": text_of(record, "question_type"),
        "question": text_of(record, "question"),
        "options": options,
        "answer": answer,
        "media": (Medium(video),),
        "extra": {},
    }


def sti(record: Mapping[str, Any], number: int) -> Parsed:
    """STI-Bench: Video, ID, time_start, time_end, Question, Candidates, Answer, Task, Source.

    The window of time belongs to the item, so it is in its question, worded as the publisher does.
    """
    video = text_of(record, "Video", "video")
    # as they stand in the table: the publisher writes 3.0 as 3.0
    start, end = (str(_given(record, name)) for name in ("time_start", "time_end"))
    question = text_of(record, "Question", "question")
    options = options_of(record, "Candidates", "options")
    if options is None:
        raise RecordError("field 'Candidates' is missing")
    options = lettered(options)
    # the publisher's own key: one video has the same ID at several times
    own = record.get("ID")
    identity = f"{video}|{number if missing(own) else own}|{start}|{end}"
    return {
        "id": identity,
        "scene": PurePosixPath(video).stem,
        "kind": text_of(record, "Task", "task_type"),
        "question": f"From {start} seconds to {end} seconds. {question}",
        "options": options,
        "answer": letter_of(text_of(record, "Answer", "answer"), options),
        "media": (Medium(video),),
        "extra": {"source": str(record.get("Source") or "")},
    }


def _identity(record: Mapping[str, Any], instead: str) -> str:
    value = record.get("id")
    return instead if missing(value) or not str(value).strip() else text_of(record, "id")


def _given(record: Mapping[str, Any], name: str) -> Any:
    value = record.get(name)
    if missing(value):
        raise RecordError(f"field {name!r} is missing")
    return value
