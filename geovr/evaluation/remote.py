"""Questions answered by a server with the chat-completions API, which has the exported checkpoint.

A clip goes as still images in their order, each a data URL: it is what every such server takes. So
the model sees a video without its times, and other numbers may come out than from the same video
locally; equal images give equal answers.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from geovr.artifacts import ClipSet
from geovr.data.clips import read_clip
from geovr.data.order import questions_by_clip, shuffled_order
from geovr.data.table import RowsByClip
from geovr.evaluation.answer import Answer
from geovr.evaluation.answering import Part, in_parts
from geovr.evaluation.backend import BackendConfig
from geovr.evaluation.chat_client import ChatClient
from geovr.evaluation.generation import request_seed
from geovr.evaluation.manner import Manner
from geovr.storage import Store

if TYPE_CHECKING:
    import pandas as pd

    from geovr.data.dataset import View

QUESTIONS_A_PART = 16
"""What a kill costs, for each request at once."""
_JPEG_QUALITY = 95


def answer_by_server(
    store: Store,
    prefix: str,
    backend: BackendConfig,
    clips: ClipSet,
    questions: pd.DataFrame,
    *,
    views: Sequence[View],
    manner: Manner,
) -> dict[View, list[Answer]]:
    """Answers in the order of the table, kept in parts; see `answering.answer_into`.

    Args:
        store: where parts are kept.
        prefix: of their keys.
        backend: the server.
        clips: the clips the questions are about.
        questions: table of questions.
        views: what is shown of the clips, each time all questions.
        manner: the words, and how answers are generated.

    Raises:
        UserError: when the server refuses a request for good; it names the question.
        Interrupted: when it doesn't answer; it names the question.
    """
    table = questions.reset_index(drop=True)
    client, rows = ChatClient(backend), RowsByClip(clips.index)
    parts = _cut(table, rows)
    ids = [str(name) for name in table["id"]]
    found: dict[View, list[Answer]] = {}
    for view in views:

        def answer(part: Part, view: View = view) -> list[Answer]:
            (clip_id,), (places,) = part.clip_ids, part.places
            clip = read_clip(clips.store, rows[clip_id])
            images = _images(_seen(clip.frames_THWC, clip_id, view), backend.image_format)
            said = []
            for place in places:
                text = client.say(_request(images, manner, ids, place), ids[place])
                said.append(Answer(ids[place], text.strip(), None))
            return said

        answers = in_parts(
            store, prefix, f"{view}-server", view, parts, answer,
            threads=backend.concurrency, give_up=client.give_up,
        )  # fmt: skip
        found[view] = [answers[name] for name in ids]
    return found


def _cut(table: pd.DataFrame, rows: RowsByClip) -> list[Part]:
    """Parts of one clip each, so that its frames are read and encoded for all its questions."""
    parts = []
    for clip_id, places in sorted(questions_by_clip(table).items()):
        frames = int(rows[clip_id].num_frames)
        for start in range(0, len(places), QUESTIONS_A_PART):
            own = tuple(places[start : start + QUESTIONS_A_PART])
            parts.append(Part((clip_id,), (own,), frames * len(own)))
    return parts


def _seen(frames_THWC: np.ndarray, clip_id: str, view: View) -> np.ndarray:
    if view == "blank":
        return np.zeros_like(frames_THWC)
    if view == "shuffled":
        mixed: np.ndarray = frames_THWC[shuffled_order(clip_id, len(frames_THWC))]
        return mixed
    return frames_THWC


def _images(frames_THWC: np.ndarray, image_format: str) -> list[dict[str, Any]]:
    """Frames as the API takes them."""
    from PIL import Image

    found = []
    for frame in frames_THWC:
        file = io.BytesIO()
        more = {"quality": _JPEG_QUALITY} if image_format == "jpeg" else {}
        Image.fromarray(frame).save(file, image_format.upper(), **more)
        data = base64.b64encode(file.getvalue()).decode()
        url = f"data:image/{image_format};base64,{data}"
        found.append({"type": "image_url", "image_url": {"url": url}})
    return found


def _request(
    images: list[dict[str, Any]], manner: Manner, ids: Sequence[str], place: int
) -> dict[str, Any]:
    """A question as the API takes it; top_k and repetition_penalty are vLLM's and SGLang's own."""
    words = [{"type": "text", "text": (manner.prompts or ())[place]}]
    generation = manner.generation
    request: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": words + images if manner.question_first else images + words}
        ],
        "max_tokens": generation.max_new_tokens,
        "temperature": 0.0,
        "stream": False,
    }
    if generation.repetition_penalty is not None:
        request["repetition_penalty"] = generation.repetition_penalty
    if generation.do_sample:
        drawn = {
            "temperature": generation.temperature if generation.temperature is not None else 1.0,
            "top_p": generation.top_p,
            "top_k": generation.top_k,
            "seed": request_seed(manner.seed, ids[place]),
        }
        request |= {name: value for name, value in drawn.items() if value is not None}
    return request
