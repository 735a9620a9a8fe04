"""Which files make a clip, and which question is about which clip."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geovr.config import Config
from geovr.data.questions import Question
from geovr.data.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from geovr.storage import is_s3

if TYPE_CHECKING:
    from geovr.data.media import Media


class Source(Config):
    """One clip to be: its file, or the images it consists of."""

    names: tuple[str, ...]
    images: bool
    scene: str | None = None


def labels(places: list[str]) -> list[str]:
    """The shortest end of each path that no other path shares."""
    parts = [tuple(place.split("/")) for place in places]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        ends = ["/".join(part[-depth:]) for part in parts]
        if len(set(ends)) == len(set(parts)):
            return ends
    return places


def put_aside(what: str, name: str, reason: str, remedy: str) -> dict[str, str]:
    """A row of the quarantine."""
    return {"what": what, "name": name, "reason": reason, "remedy": remedy}


def _real(place: str) -> str:
    """One name for a place, whatever links lead there; links in a circle have no other."""
    return place if is_s3(place) else os.path.realpath(place)


def files_of_clips(
    media: Media, questions: list[Question], places: list[str]
) -> tuple[dict[str, Source], list[dict[str, str]]]:
    """Clip id -> files. Every file is a clip of its own; several images of a question are one."""
    sources: dict[str, Source] = {}
    refused = []
    asked = {_real(place) for place in places}
    for name in media.names:
        shown = name.encode("utf-8", "backslashreplace").decode()
        if shown != name:
            refused.append(put_aside("video", shown, "its name is not UTF-8", "rename it"))
            continue
        if "\0" in name:
            shown = name.replace("\0", "\\0")
            refused.append(put_aside("video", shown, "its name holds a NUL", "correct the list"))
            continue
        if _real(media.uri_of(name)) in asked:
            continue  # a question file that lies among the videos
        suffix = Path(name).suffix.lower()
        if suffix not in VIDEO_SUFFIXES + IMAGE_SUFFIXES:
            reason = f"its suffix {suffix or '(none)'} is neither a video's nor an image's"
            known = ", ".join(VIDEO_SUFFIXES + IMAGE_SUFFIXES)
            refused.append(put_aside("video", name, reason, f"take it out, or name it as {known}"))
            continue
        stem = name.removesuffix(Path(name).suffix)
        clip_id = name if stem in sources else stem
        sources[clip_id] = Source(names=(name,), images=suffix in IMAGE_SUFFIXES)
    known_names = set(media.names)
    for question in questions:
        if len(question.media) > 1 and set(question.media) <= known_names:
            sources["+".join(question.media)] = Source(names=question.media, images=True)
    return sources, refused


def join(
    questions: list[Question], rows: list[dict[str, Any]], sources: dict[str, Source]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Questions with their clips; each clip takes the split of its questions, train first."""
    by_id = {str(row["clip_id"]): row for row in rows}
    by_names = {source.names: clip_id for clip_id, source in sources.items()}
    joined, aside, seen = [], [], dict[str, str]()
    for question in questions:
        clip_id = by_names.get(question.media)
        if clip_id is None and len(question.media) == 1:
            # benchmarks name an .mp4 where the video may have come as an .mkv
            clip_id = question.media[0].removesuffix(Path(question.media[0]).suffix)
        row_of = by_id.get(clip_id or "")
        if row_of is None:
            aside.append(
                put_aside(
                    "question",
                    question.source,
                    f"question {question.id} is about {', '.join(question.media)}, which is"
                    " missing or was put aside",
                    "add the video, or take the question out",
                )
            )
            continue
        if question.id in seen:
            reason = f"its id {question.id} is that of {seen[question.id]} already"
            aside.append(put_aside("question", question.source, reason, "give each its own id"))
            continue
        seen[question.id] = question.source
        if row_of["split"] != "train":
            row_of["split"] = question.split
        joined.append(_question_row(question, str(row_of["clip_id"])))
    order = ("split", "clip_id", "id")
    return sorted(joined, key=lambda row: tuple(str(row[name]) for name in order)), aside


def _question_row(question: Question, clip_id: str) -> dict[str, Any]:
    return {
        "id": question.id,
        "clip_id": clip_id,
        "split": question.split,
        "kind": question.kind,
        "question": question.question,
        "options": list(question.options) if question.options is not None else None,
        "answer": question.answer,
        "source": question.source,
        "extra": question.extra,
    }
