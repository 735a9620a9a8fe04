"""How VLMEvalKit reads answers by its rules, for the benchmarks of the EASI leaderboard.

Read in open-compass/VLMEvalKit at e8e78f0, vlmeval/dataset/utils/spatial_bench/ (matching_func.py,
cal_scores.py) and vlmeval/utils/matching_util.py. Its optional language model as a judge is left
out, as it leaves it out itself where no key is set.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from geovr.evaluation.profiles.adding import GroupsOf, Named, TotalOf, pooled
from geovr.evaluation.profiles.profile import Judged, Said
from geovr.evaluation.profiles.reading import (
    UNITS,
    as_float,
    letter_or_none,
    relative_accuracy,
    shown,
)

RULES = "open-compass/VLMEvalKit at e8e78f0, rules only: "
_TAIL_CHARACTERS, _TAIL_LINES = 800, 6
_INVISIBLE = str.maketrans("", "", "\u200b\u200c\u200d\ufeff")
# the patterns accept what theirs do, written so that long runs of spaces cost no time
_OPEN, _CLOSE = r"(?:[\(\[\{（【]\s*)?", r"[\)\]\}）】]?"
_I = re.IGNORECASE
_MARKED = re.compile(
    r"<\s*answer\b[^>]*>\s*([A-Ja-j])(?:\s*[\.．:：\)\]】、])?.*?<\s*/\s*answer\s*>", _I | re.DOTALL
)
_ANSWER_ENDS = re.compile(r"<\s*/\s*answer\s*>", _I)
_BEFORE_CLOSING = tuple(
    re.compile(rf"(?<![A-Za-z]){_OPEN}([A-F])\s*{_CLOSE}\s*</\s*{tag}\s*>", _I)
    for tag in ("answer", "think")
)
_THOUGHT_ENDS = re.compile(r"</\s*think\s*>", _I)
_THOUGHT_BEGINS = re.compile(r"<\s*think\s*>", _I)
_OPTION_LINE = re.compile(r"^(?:[*_>\-\s]*)(?:option|选项)\s+[A-J]\s*[:：]", _I)
_ONLY_LETTER = re.compile(r"[*_`>（）\[\]【】\(\)]*\s*([A-Fa-f])\s*[*_`（）\[\]【】\(\)]*")
_LETTERED_LINE = re.compile(r"^\s*([A-F])\s*[\.．:：\)\]】、-]\s+", _I)
_CAPITAL = re.compile(
    r"(?<![A-Za-z])([A-F])[*_`）\]\})]*(?=$|[\s\.,:;!?\)\]】》」』，。；、：）】》」』])"
)
_PHRASE = re.compile(
    r"(?:final\s*answer|the\s*answer\s*is|answer(?:\s*is)?|correct\s*answer|答案|最终答案|结论|所以"
    rf"|因此|我选(?:择)?|选择|选)\s*(?:[:：>＝=]\s*)?{_OPEN}([A-F])\s*{_CLOSE}(?:\b|[.)、。])",
    _I,
)
_LONE_CAPITAL = re.compile(r"(?<![A-Za-z])([A-F])(?![A-Za-z])")

_FIGURE = r"[-+]?(?:\d*\.\d+|\d+)(?:[eE][-+]?\d+)?"
_NUMBER = re.compile(_FIGURE)
_MARKED_NUMBER = re.compile(
    rf"<\s*answer\b[^>]*>\s*({_FIGURE})(?:[^\d<][^<]*)?<\s*/\s*answer\s*>", _I | re.DOTALL
)
_WORDS = (*UNITS, "twenty")
_DIGITS = {word: str(number) for number, word in enumerate(_WORDS)}
_WORD = re.compile(rf"\b({'|'.join(_WORDS)})\b", _I)


def option_in(text: str) -> str | None:
    """The option that a text is taken to choose, A to F (A to J inside <answer>); None for none.

    In this order: the mark <answer>, a letter before </answer> or </think>, the last six lines
    behind the thoughts, those of the last 800 characters, a phrase such as "the answer is", the
    only capital there is.
    """
    text = text.strip().translate(_INVISIBLE)
    tail = text[-_TAIL_CHARACTERS:]
    closed = _ANSWER_ENDS.search(text)
    marked = (closed and _MARKED.search(text), *(before.search(tail) for before in _BEFORE_CLOSING))
    for found in marked:
        if found:
            return str(found[1]).upper()
    for part in (_behind_thoughts(text), tail):
        letter = _last_choosing_line(part.splitlines()[-_TAIL_LINES:])
        if letter:
            return letter
    phrase = _PHRASE.search(text)
    if phrase:
        return str(phrase[1]).upper()
    kept = "\n".join(line for line in text.splitlines() if not _OPTION_LINE.search(line))
    capitals = set(_LONE_CAPITAL.findall(kept))
    return str(capitals.pop()) if len(capitals) == 1 else None


def _behind_thoughts(text: str) -> str:
    """What follows the last </think>, else the last <think>, else the whole."""
    for mark in (_THOUGHT_ENDS, _THOUGHT_BEGINS):
        places = list(mark.finditer(text))
        if places:
            return text[places[-1].end() :].strip()
    return text


def _last_choosing_line(lines: Sequence[str]) -> str | None:
    for line in reversed([line.strip() for line in lines if line.strip()]):
        if _OPTION_LINE.search(line):
            continue
        found = _ONLY_LETTER.fullmatch(line) or _LETTERED_LINE.match(line)
        if found:
            return str(found[1]).upper()
        capitals = set(_CAPITAL.findall(line))
        if len(capitals) == 1:
            return str(capitals.pop()).upper()
    return None


def number_in(text: str) -> float | None:
    """The number that a text is taken to give; None for none.

    The words zero to twenty become digits, wherever they stand: "twenty-one" becomes 20-1, and its
    last number is -1. A text in square brackets is read as a list, and its first entry counts.
    """
    if text.strip().startswith("[") and text.strip().endswith("]"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                listed = ast.literal_eval(text)
            text = str(listed[0]) if isinstance(listed, list) and listed else text
        except (ArithmeticError, ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    text = text.strip().translate(_INVISIBLE)
    # matched whatever the case, "\u017fix" is a six too, though its lower case isn't; it stays
    text = _WORD.sub(lambda found: _DIGITS.get(found[1].lower(), found[0]), text)
    marked = _MARKED_NUMBER.search(text)
    if marked:
        return float(marked[1])
    for part in (_behind_thoughts(text), text):
        numbers = _NUMBER.findall(part)
        if numbers:
            return float(numbers[-1])
    return None


def judge_choice(said: Said) -> Judged:
    """1 where both sides give the same letter, or neither gives one."""
    letter, truth = option_in(str(said.text)), option_in(said.answer.strip())
    return Judged(float(letter == truth), letter_or_none(letter, said.options))


def judge_number(said: Said) -> Judged:
    """Mean relative accuracy of the last number."""
    predicted, target = number_in(str(said.text)), as_float(said.answer)
    if predicted is None or target is None or np.isnan(target):
        return Judged(0.0, shown(predicted))
    return Judged(relative_accuracy(predicted, target), shown(predicted))


def pooled_choices() -> tuple[TotalOf, GroupsOf]:
    """Its sum of benchmarks of choices: the plain mean, and that of each kind."""
    accuracy: Named = "{}_accuracy".format
    return pooled(line=accuracy)


_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_SEPARATORS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_VERBOSE = re.compile(r"(?:correct\s+)?answer\s+is\s+\**([ABCD])\**", _I)


def inferred(text: str, options: Mapping[str, str]) -> str | None:
    """The option that its older rules find, which BLINK and CV-Bench still have; Z for a refusal.

    Args:
        text: the answer.
        options: letter -> text.
    """
    return _inferred_letter(text, options) or _inferred_text(text.lower(), options)


def _inferred_letter(text: str, options: Mapping[str, str]) -> str | None:
    if "Failed to obtain answer via API" in text:
        return None
    if any(refusal in text for refusal in _REFUSALS):
        return "Z"
    words = text.translate(_SEPARATORS).split()
    present = [letter for letter in options if letter in words]
    if len(present) == 1 and words.index(present[0]) > len(words) - 5:
        return present[0]
    if not present and "Z" in words:
        return "Z"
    phrase = _VERBOSE.search(text)
    return phrase[1].upper() if phrase and phrase[1].upper() in options else None


def _inferred_text(text: str, options: Mapping[str, str]) -> str | None:
    if len(text) > 2 * sum(map(len, options.values())):
        return None
    found = [letter for letter, option in options.items() if option.lower() in text]
    return found[0] if len(found) == 1 else None
