"""All questions of a benchmark, answered in parts that are kept as they come.

The questions are cut into parts before anything is answered, by the clips alone: whoever answers a
part, after whatever was killed, writes the same bytes. A part is one object in the store, whole or
not there, and never answered twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geovr import distributed
from geovr.artifacts import ClipSet
from geovr.config import canonical_json
from geovr.data.dataset import View
from geovr.data.input import InputConfig
from geovr.data.lengths import RowLengths
from geovr.data.order import RowSpec
from geovr.evaluation.answer import Answer, Answerer, Model, NumericDecoding
from geovr.evaluation.manner import Manner
from geovr.progress import progress
from geovr.storage import Store

if TYPE_CHECKING:
    import pandas as pd

MOST_QUESTIONS = 256
"""Of a part: a kill costs no more than that."""


@dataclass(frozen=True)
class Part:
    """Clips that go through the model together, with the places of their questions.

    Attributes:
        clip_ids: the clips.
        places: of each clip's questions in the table.
        cost: tokens.
    """

    clip_ids: tuple[str, ...]
    places: tuple[tuple[int, ...], ...]
    cost: int


def cut(answerer: Answerer, batch_rows: int) -> list[Part]:
    """The parts of a table of questions: a function of the table and of `batch_rows` alone.

    Clips of about one length stand together, so that little is padded.

    Args:
        answerer: whose questions are cut.
        batch_rows: most clips in a part.
    """
    lengths = RowLengths(answerer.maker, answerer.by_clip)
    rows = []
    most = 1 if answerer.manner.question_first else MOST_QUESTIONS
    for clip_id, places in answerer.by_clip.items():
        for start in range(0, len(places), most):
            rows.append(RowSpec(clip_id, tuple(places[start : start + most])))
    rows.sort(key=lambda row: (lengths.prefixes[row.clip_id], row.clip_id, row.questions))
    parts: list[Part] = []
    taken: list[RowSpec] = []

    def close() -> None:
        if taken:
            parts.append(
                Part(
                    tuple(row.clip_id for row in taken),
                    tuple(row.questions for row in taken),
                    sum(map(lengths.of, taken)),
                )
            )
        taken.clear()

    for row in rows:
        asked = sum(len(other.questions) for other in taken)
        if len(taken) == batch_rows or asked + len(row.questions) > MOST_QUESTIONS:
            close()
        taken.append(row)
    close()
    return parts


def answer_part(answerer: Answerer, part: Part) -> list[Answer]:
    """Answers of a part, in the order of its places."""
    return answerer.answer(list(part.clip_ids), [list(places) for places in part.places])


def answer_into(
    store: Store,
    prefix: str,
    model_directory: Path,
    clips: ClipSet,
    questions: pd.DataFrame,
    *,
    views: Sequence[View],
    numeric: NumericDecoding,
    batch_rows: int,
    shown: InputConfig,
    manner: Manner | None = None,
) -> dict[View, list[Answer]]:
    """Answers in the order of the table, kept in parts; ranks share the work by its cost.

    Every rank calls this and gets all answers. What is there already is not answered again.

    Args:
        store: where parts are kept.
        prefix: of their keys; one for each model, table and way to ask.
        model_directory: a stock Qwen3-VL directory.
        clips: the clips the questions are about.
        questions: table of questions (see artifacts.ClipSet).
        views: what is shown of the clips, each time all questions.
        numeric: how numbers are decoded.
        batch_rows: most clips in a forward pass.
        shown: how clips are put before the model.
        manner: the words, and how answers are generated; None: the flow's.
    """
    table = questions.reset_index(drop=True)
    model = Model(model_directory)
    found: dict[View, list[Answer]] = {}
    for view in views:
        answerer = Answerer(
            model, clips, table, numeric=numeric, view=view, shown=shown, manner=manner
        )

        def answer(part: Part, answerer: Answerer = answerer) -> list[Answer]:
            return answer_part(answerer, part)

        name = f"{view}-{batch_rows}"
        answers = in_parts(store, prefix, name, view, cut(answerer, batch_rows), answer)
        found[view] = [answers[str(question_id)] for question_id in table["id"]]
    return found


def in_parts(
    store: Store,
    prefix: str,
    name: str,
    view: View,
    parts: Sequence[Part],
    answer: Callable[[Part], list[Answer]],
    threads: int = 1,
    give_up: Callable[[], None] = lambda: None,
) -> dict[str, Answer]:
    """Id -> answer of all parts; the ranks answer those that are not in the store.

    Args:
        store: where parts are kept.
        prefix: of their keys.
        name: of the way in which they were cut.
        view: what is shown.
        parts: all of them, the same on every rank.
        answer: the questions of one.
        threads: parts that a rank answers at once.
        give_up: tells those that are running to end, when one has failed.
    """
    keys = [f"{prefix}/parts/{name}-{n:06d}.json" for n in range(len(parts))]
    there = distributed.broadcast_object(set(store.keys(f"{prefix}/parts")))
    left = [n for n, key in enumerate(keys) if key not in there]
    shares = distributed.balanced_shares([parts[n].cost for n in left], distributed.world_size())
    mine = [left[place] for place in shares[distributed.rank()]]

    def one(n: int) -> int:
        answers = answer(parts[n])
        store.put_new(keys[n], canonical_json([asdict(a) for a in answers]).encode())
        return len(answers)

    asked = sum(len(row) for n in mine for row in parts[n].places)
    what = "answer" if view == "video" else f"answer, {view}"
    with progress(what, asked, "questions") as bar:
        if threads == 1:
            for n in mine:
                bar.advance(one(n))
        else:
            with ThreadPoolExecutor(threads) as pool:
                running = [pool.submit(one, n) for n in mine]
                try:
                    for done in as_completed(running):
                        bar.advance(done.result())
                except BaseException:
                    # what has not begun is left for the next run
                    pool.shutdown(wait=False, cancel_futures=True)
                    give_up()
                    raise
    distributed.barrier()
    told = [Answer(**one) for key in keys for one in json.loads(store.get(key))]
    return {answer.id: answer for answer in told}


def remove_parts(store: Store, prefix: str) -> None:
    """Forget the parts, when the whole is written, and what a kill left of one half written."""
    store.remove_partial(f"{prefix}/parts")
    for key in store.keys(f"{prefix}/parts"):
        store.remove(key)
