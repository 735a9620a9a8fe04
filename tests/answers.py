"""All answers of a model directory to a table of questions, without a store."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from geovr.artifacts import ClipSet
from geovr.data.dataset import View
from geovr.data.input import InputConfig
from geovr.evaluation.answer import Answer, Answerer, Model, NumericDecoding
from geovr.evaluation.answering import answer_part, cut
from geovr.evaluation.manner import Manner


def answer_questions(
    model_directory: Path,
    clips: ClipSet,
    questions: pd.DataFrame,
    *,
    numeric: NumericDecoding,
    batch_rows: int,
    view: View = "video",
    shown: InputConfig | None = None,
    manner: Manner | None = None,
) -> list[Answer]:
    """Answers in the order of the table, kept nowhere; see `Answerer` for the arguments."""
    table = questions.reset_index(drop=True)
    model = Model(model_directory)
    answerer = Answerer(model, clips, table, numeric=numeric, view=view, shown=shown, manner=manner)
    found = {
        answer.id: answer
        for part in cut(answerer, batch_rows)
        for answer in answer_part(answerer, part)
    }
    return [found[str(question_id)] for question_id in table["id"]]
