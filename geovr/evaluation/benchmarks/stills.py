"""Layouts of questions about images: SPBench, SPAR-Bench, MMSI-Bench, ViewSpatial-Bench, MindCube,
CV-Bench and BLINK.

Field names were read in the publishers' evaluation code and cards: ZJU-REAL/SpatialLadder,
LogosRoboticsGroup/SPAR and its copy in lmms-eval, OpenRobotLab/MMSI-Bench,
ZJU-REAL/ViewSpatial-Bench eval/ViewSpatial-Bench.json, mll-lab-nu/MindCube, and lmms-eval
tasks/cv_bench and tasks/blink.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from geovr.evaluation.benchmarks.item import (
    Medium,
    Parsed,
    RecordError,
    inline_options,
    letter_of,
    lettered,
    list_of,
    missing,
    options_of,
    text_of,
)

SPAR_NUMBERS = tuple(
    f"{what}_prediction_{of}{views}"
    for what in ("depth", "distance")
    for of in ("oc", "oo")
    for views in ("", "_mv")
)
SPAR_TEXT = "view_change_infer"
"""Its answer is a list of motions, such as "move_right:0.3,rotate_left:20"."""


def spbench(record: Mapping[str, Any], number: int) -> Parsed:
    """SPBench: id, scene_name, images (names in the scene's folder), options, ground_truth."""
    scene = text_of(record, "scene_name")
    options = options_of(record, "options")
    answer = text_of(record, "ground_truth", "answer")
    names = [str(name) for name in list_of(record, "images", "image")]
    return {
        "id": text_of(record, "id"),
        "scene": scene,
        "kind": text_of(record, "question_type"),
        "question": text_of(record, "question"),
        "options": options,
        "answer": letter_of(answer, options) if options else answer.strip(),
        "media": tuple(Medium(f"{scene}/{name}") for name in names),
        "extra": {"dataset": str(record.get("dataset") or "")},
    }


def spar(record: Mapping[str, Any], number: int) -> Parsed:
    """SPAR-Bench: id, task, source, image (a list), question with its options inside, answer."""
    task, question = text_of(record, "task"), text_of(record, "question")
    answer = text_of(record, "answer").strip()
    chosen = task not in (*SPAR_NUMBERS, SPAR_TEXT)
    options = (inline_options(question) or _letters("ABCD")) if chosen else None
    return {
        "id": text_of(record, "id"),
        "scene": str(record.get("scene") or f"item {record.get('id')}"),
        "kind": task,
        "question": question,
        "options": options,
        "answer": letter_of(answer, options) if options else answer,
        "media": _embedded(list_of(record, "image", "images")),
        "extra": {"source": str(record.get("source") or "")},
    }


def mmsi(record: Mapping[str, Any], number: int) -> Parsed:
    """MMSI-Bench: id, images (bytes), question_type, question with its options inside, answer."""
    question = text_of(record, "question")
    options = inline_options(question) or _letters("ABCD")
    identity = text_of(record, "id")
    return {
        "id": identity,
        "scene": f"item {identity}",
        "kind": text_of(record, "question_type"),
        "question": question.strip(),
        "options": options,
        "answer": letter_of(text_of(record, "answer"), options),
        "media": _embedded(list_of(record, "images")),
        "extra": {},
    }


def viewspatial(record: Mapping[str, Any], number: int) -> Parsed:
    """ViewSpatial-Bench: image_path (a list), question, choices (a line each), answer "A. left"."""
    options = tuple(line for line in text_of(record, "choices").split("\n") if line.strip())
    paths = [str(path) for path in list_of(record, "image_path")]
    parts = PurePosixPath(paths[0]).parts if paths else ()
    scene = next((part for part in parts if part.startswith("scene")), PurePosixPath(*parts).stem)
    return {
        "id": str(number),
        "scene": scene,
        "kind": text_of(record, "question_type"),
        "question": text_of(record, "question"),
        "options": options,
        "answer": letter_of(text_of(record, "answer"), options),
        "media": tuple(Medium(path) for path in paths),
        "extra": {},
    }


def mindcube(record: Mapping[str, Any], number: int) -> Parsed:
    """MindCube: id, images (paths), question with its options inside, gt_answer, category.

    What is asked is the id's prefix (among, around, rotation), as the publisher groups it.
    """
    identity, question = text_of(record, "id"), text_of(record, "question")
    options = inline_options(question) or _letters("ABCD")
    known = ("around", "rotation", "translation", "among")
    images = [str(path) for path in list_of(record, "images")]
    return {
        "id": identity,
        "scene": PurePosixPath(images[0]).parent.as_posix() if images else identity,
        "kind": next((kind for kind in known if kind in identity.lower()), "other"),
        "question": question,
        "options": options,
        "answer": letter_of(text_of(record, "gt_answer", "answer"), options),
        "media": tuple(Medium(path) for path in images),
        "extra": {"category": record.get("category")},
    }


def cv_bench(record: Mapping[str, Any], number: int) -> Parsed:
    """CV-Bench: idx, type, task, image, choices, answer "(A)", prompt, source, filename."""
    options = _choices(record)
    identity = text_of(record, "idx", "index")
    return {
        "id": identity,
        "scene": str(record.get("source_filename") or record.get("filename") or identity),
        "kind": text_of(record, "task"),
        "question": text_of(record, "prompt"),
        "options": options,
        "answer": letter_of(text_of(record, "answer"), options),
        "media": _embedded([record.get("image")]),
        "extra": {name: str(record.get(name) or "") for name in ("type", "source")},
    }


def blink(record: Mapping[str, Any], number: int) -> Parsed:
    """BLINK: idx, sub_task, prompt, image_1 to image_4, choices, answer "(A)"."""
    options = _choices(record)
    images = [record.get(f"image_{place}") for place in range(1, 5)]
    identity = text_of(record, "idx")
    return {
        "id": identity,
        "scene": identity,
        "kind": text_of(record, "sub_task"),
        "question": text_of(record, "prompt"),
        "options": options,
        "answer": letter_of(text_of(record, "answer"), options),
        "media": _embedded([image for image in images if not missing(image)]),
        "extra": {},
    }


def _choices(record: Mapping[str, Any]) -> tuple[str, ...]:
    return lettered(tuple(str(choice) for choice in list_of(record, "choices")))


def _letters(letters: str) -> tuple[str, ...]:
    """Options whose texts stand in the question in a way that isn't recognised."""
    return tuple(f"{letter}." for letter in letters)


def _embedded(values: list[Any]) -> tuple[Medium, ...]:
    """Images as `datasets` stores them: {bytes, path}, or the bytes alone."""
    media = []
    for value in values:
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes) or not data:
            raise RecordError("an image has no bytes in the table")
        media.append(Medium.embedded(data))
    return tuple(media)
