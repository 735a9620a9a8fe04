"""Our own reading of answers, with none of the upstreams' bugs.

A letter counts where it can't mean anything else, and a number where there is one. So, other than
in one upstream or another: an empty answer is never right, nor is one that merely begins with the
right letter, holds it inside a word or says the article "a"; nothing matches because neither side
could be read; two letters or two numbers that differ are no answer; "twenty-one" is 21 and a range
is no number. What a model thought aloud (<think>) isn't read, what it marked as its answer
(<answer>) is.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence

from geovr.evaluation.benchmarks.item import split_option
from geovr.evaluation.mra import exact_relative_accuracy
from geovr.evaluation.profiles.adding import by_kinds, first_stop, lines_of, means_of
from geovr.evaluation.profiles.profile import Group, Judged, Said, Total
from geovr.evaluation.profiles.reading import TENS, UNITS, shown

SOURCE = "ours"
_MOST = 20_000
"""Characters of an answer that are read, from its end."""
_THOUGHT = re.compile(r"</\s*think\s*>", re.IGNORECASE)
_MARKED = re.compile(r"<\s*answer\s*>(.*?)<\s*/\s*answer\s*>", re.IGNORECASE | re.DOTALL)
_MARKS = " \t\n*_`\"'“”()[]{}<>.,;:!"
_LEADING = re.compile(r"[*_`\"'\s]*(?:\(([A-Z])\)|([A-Z])[.):])(?!\w)", re.IGNORECASE)
_PHRASE = re.compile(
    r"\b(?i:answer|option|choice)(?:\s+(?i:is))?\s*(?:[:=]\s*)?[*_`\"'(\[{]*([A-Z]|[a-z](?=\W*$))(?![\w'])"
)
_AFTER_COLON = re.compile(r":\s*[*_`\"'(\[{]*([A-Z])\W*$")
_ALONE = re.compile(r"(?<![\w'])([A-Z])(?![\w'])")
_ARTICLE = re.compile(r"\s+(?!(?:or|and|is|was|because|since|as)\b)[a-z]")

WORDS = {word: number for number, word in enumerate(UNITS)} | {
    word: 10 * number for number, word in enumerate(TENS, start=2)
}
_WORD = re.compile(rf"\b({'|'.join(TENS)})[-\s]({'|'.join(UNITS[1:10])})\b|\b({'|'.join(WORDS)})\b")
_LARGER = re.compile(r"\b(?:hundred|thousand|million|dozen|half|quarter|third)s?\b")
_FIGURE = re.compile(r"(?<![\w^])[-+]?[.,]{0,2}\d[\d.,]*(?:e[-+]?\d+)?")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d*)(?:\.\d+)?(?:e[-+]?\d+)?")
_JOINED = re.compile(r"(?<=\d)\s*[-–—/⁄:^_]\s*(?=\d)")


def final_part(text: str) -> str:
    """What a model gave as its answer: behind its thoughts, and inside the mark if it set one."""
    text = unicodedata.normalize("NFKC", text[-_MOST:])
    text = _THOUGHT.split(text)[-1]
    marked = _MARKED.findall(text)
    return str(marked[-1] if marked else text).strip()


def choice(text: str | None, options: Sequence[str]) -> str | None:
    """The letter that an answer means; None where it means none, or more than one."""
    if text is None:
        return None
    part = final_part(text)
    texts = dict(map(split_option, options))
    bare = part.strip(_MARKS)
    if bare.upper() in texts and len(bare) == 1:
        return bare.upper()
    said = part.casefold().strip(" .")
    same = [letter for letter, words in texts.items() if _same(said, letter, words)]
    if len(same) == 1:
        return same[0]
    found = {letter.upper() for letter in _PHRASE.findall(part)} & set(texts)
    found |= set(_AFTER_COLON.findall(part)) & set(texts)
    leading = _LEADING.match(part)
    if leading:
        found.add((leading[1] or leading[2]).upper())
    found |= {m[1] for m in _ALONE.finditer(part) if found and _names(m, part) and m[1] in texts}
    (letter,) = found if len(found) == 1 else (None,)
    return letter if letter in texts else None


def _same(said: str, letter: str, words: str) -> bool:
    words = words.casefold().strip(" .")
    lettered = (f"{letter.casefold()}{between} {words}" for between in ("", ".", ")", ":"))
    return bool(words) and said in (words, *lettered)


def _names(found: re.Match[str], text: str) -> bool:
    """Whether a capital that stands alone names an option, and is no article or pronoun."""
    return not (found[1] in "AI" and _ARTICLE.match(text, found.end()))


def number(text: str | None) -> float | None:
    """The number in an answer; None where there is none, or more than one.

    Units are not converted. A comma separates thousands, a hyphen between digits makes a range.
    """
    if text is None:
        return None
    part = final_part(text).casefold()
    if _LARGER.search(part) or _JOINED.search(part):
        return None
    words = [WORDS[m[1]] + WORDS[m[2]] if m[1] else WORDS[m[3]] for m in _WORD.finditer(part)]
    figures = [figure.rstrip(".,") for figure in _FIGURE.findall(part)]
    if not all(map(_NUMBER.fullmatch, figures)):
        return None
    found = {float(figure.replace(",", "")) for figure in figures} | set(map(float, words))
    if len(found) != 1:
        return None
    (value,) = found
    return value if math.isfinite(value) else None


def judge_choice(said: Said) -> Judged:
    """1 where the answer means the recorded letter."""
    letter = choice(said.text, said.options or ())
    return Judged(float(letter is not None and letter == said.answer), letter)


def judge_number(said: Said) -> Judged:
    """Mean relative accuracy of the answer's number; targets of 0 and below are defined."""
    predicted, target = number(said.text), number(said.answer)
    if predicted is None or target is None:
        return Judged(0.0, shown(predicted))
    return Judged(exact_relative_accuracy(predicted, target), shown(predicted))


def judge(said: Said) -> Judged:
    """A choice where the question has options, else a number."""
    return judge_choice(said) if said.options else judge_number(said)


def kinds_total(
    saids: Sequence[Said], judged: Sequence[Judged], merged: Mapping[str, str] | None = None
) -> Total:
    """The mean over kinds; over those that were asked, when some were not.

    Args:
        saids: what was asked and said.
        judged: the scores.
        merged: raw kind -> the kind that it is a part of, which has the mean of its parts.
    """
    stop = first_stop(saids, judged)
    if stop is not None:
        return stop
    means = means_of(saids, judged)
    whole: dict[str, list[float]] = {}
    for name, mean in means.items():
        whole.setdefault((merged or {}).get(name, name), []).append(float(mean))
    kinds = {name: sum(parts) / len(parts) for name, parts in whole.items()}
    overall = sum(kinds.values()) / len(kinds) if kinds else 0.0
    return Total(overall, lines_of(kinds))


def kinds_groups(saids: Sequence[Said], merged: Mapping[str, str] | None = None) -> list[Group]:
    """The same as groups."""
    return by_kinds(saids, lambda kind: (merged or {}).get(kind, kind))
