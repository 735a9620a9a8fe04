"""The study's tokenizer: what the box world asks takes few tokens, and any other text stays."""

from __future__ import annotations

import unicodedata
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geovr.data.prompts import prompt_text
from geovr.data.questions import read_questions
from geovr.evaluation.kinds import CONTROL
from geovr.model.initialise import _tokenizer
from geovr.model.phrases import NAMES, OBJECT_WORDINGS, OPTIONS, PHRASES, WORDS
from geovr.simulation.furniture import BY_NAME, COLOURS
from geovr.simulation.object_questions import KINDS as OBJECT_KINDS
from geovr.simulation.questions import KINDS
from tests.simulation.conftest import Rendered

MOST, MOST_OF_AN_OPTION = 12, 2


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return _tokenizer(PHRASES)


@pytest.fixture(scope="module")
def before() -> Any:
    """As it was before there were questions about objects."""
    from tokenizers import AddedToken

    old = _tokenizer()
    known = PHRASES[: PHRASES.index(OBJECT_WORDINGS[0])]
    old.add_tokens([AddedToken(text, normalized=False) for text in known])
    return old


@pytest.fixture(scope="module")
def prompts(rendered: Rendered) -> dict[str, list[tuple[str, int]]]:
    """Kind -> wordings with their numbers of options, of all that two hundred scenes ask."""
    found: dict[str, set[tuple[str, int]]] = {}
    for which, split in product(("questions", "object_questions"), ("train", "test")):
        file = read_questions(rendered.root / f"{split}_{which}.jsonl", "test", "auto")
        for question in file.questions:
            text = prompt_text(question.question, question.options)
            found.setdefault(question.kind, set()).add((text, len(question.options or ())))
    return {kind: sorted(texts) for kind, texts in found.items()}


def test_all_that_the_box_world_asks_takes_few_tokens(
    tokenizer: Any, prompts: dict[str, list[tuple[str, int]]]
) -> None:
    assert set(prompts) == {*KINDS, *OBJECT_KINDS}
    for texts in prompts.values():
        for text, options in texts:
            tokens = tokenizer.encode(text)
            assert len(tokens) <= MOST + MOST_OF_AN_OPTION * options, text
            assert tokenizer.decode(tokens) == text


def test_every_wording_is_of_phrases_alone(
    tokenizer: Any, prompts: dict[str, list[tuple[str, int]]]
) -> None:
    """But for question marks, which are tokens of any text."""
    phrases = {*PHRASES, "?"}
    for text, _ in [pair for texts in prompts.values() for pair in texts]:
        assert set(tokenizer.convert_ids_to_tokens(tokenizer.encode(text))) <= phrases, text


def test_names_are_those_of_the_world() -> None:
    assert set(NAMES) == {*BY_NAME, *COLOURS} and set(NAMES) < WORDS
    assert "category_counting" in CONTROL and len(set(PHRASES)) == len(PHRASES)


def test_the_eight_kinds_have_the_tokens_that_they_had(
    tokenizer: Any, before: Any, prompts: dict[str, list[tuple[str, int]]]
) -> None:
    texts = [text for kind in KINDS for text, _ in prompts[kind]]
    texts += [f"How many {name}(s) are in this room?" for name in NAMES]
    texts += [f"\nOptions:\nA. {a}\nB. {b}" for a, b in product((*NAMES, *OPTIONS), repeat=2)]
    texts += [
        "<|im_start|>user\n",
        "<|im_end|>\n<|im_start|>assistant\n",
        "A",
        "3.02",
        "<1.5 seconds>",
    ]
    for text in texts:
        assert tokenizer.encode(text) == before.encode(text), text
    # weights are made for whole blocks of 64 tokens, so theirs are the same too
    assert -(-len(tokenizer) // 64) == -(-len(before) // 64)


@pytest.mark.parametrize("text", ["covered", "tables", "bedroom", "leftover", "tired", "redo it"])
def test_a_name_within_a_word_is_no_token(tokenizer: Any, text: str) -> None:
    pieces = tokenizer.convert_ids_to_tokens(tokenizer.encode(text))
    assert not WORDS & set(pieces), pieces


@pytest.mark.parametrize(
    "text",
    [
        "The covered tables stand left, over the red bed; bedspreads and the rest.",
        "backward, leftmost and front-left, front-lefty",
        "?, is the  and the \n , ",
        "éred red\u0301",
        "redß 桌子 table桌 🛏bed bed🛏 \u200dbed",
        "<1.5 seconds><1.5 seconds",
        "in reddish (in meters)??",
    ],
)
def test_sentences_make_the_round_trip(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == unicodedata.normalize("NFC", text)


PIECES = st.one_of(st.sampled_from(PHRASES), st.text(max_size=6))


@settings(max_examples=150, deadline=None)
@given(text=st.lists(PIECES, max_size=8).map("".join))
def test_any_text_makes_the_round_trip(tokenizer: Any, text: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)
