"""`python -m tests.bench.scoring`: `geovr score --profile all` on 5,130 answers of every shape.

Prints the columns of VSI-Bench's scorers side by side, and how long the command took as a whole.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from geovr.evaluation.profiles.vsi_kinds import CHOICES, NUMBERS

ANSWERS, SCENES = 5130, 288
LIMIT_S = 5.0
TRUTHS = {
    "object_counting": ("2", "2", "2", "3", "3", "4", "4", "5", "6", "10"),
    "object_abs_distance": ("0.8", "1.2", "2.4", "3.5"),
    "object_size_estimation": ("40", "65", "93", "180"),
    "room_size_estimation": ("12.5", "21.3", "38"),
}
WORDS = ("zero", "one", "two", "three", "four", "five", "six")
OPTIONS = ("left", "right", "behind", "in front")


def _word(number: str) -> str:
    return WORDS[int(number)] if number.isdecimal() and int(number) < len(WORDS) else number


NUMBER_SHAPES: tuple[Callable[[str], str], ...] = (
    str, str, str, str,
    "{}.".format, " {}".format, "{},".format, "+{}".format, "{} m".format, "{}m".format,
    "{}e0".format, "about {} of them".format, "<think>at first 9</think>{}".format,
    "<answer>{}</answer>".format, "**{}**".format, "between {} and 40".format, "{}-40".format,
    _word, lambda number: f"{_word(number)} in all", lambda number: _word(number).title() + ".",
    lambda number: number.translate({48 + n: 0xFF10 + n for n in range(10)}),
    lambda number: number.translate({48 + n: 0x660 + n for n in range(10)}),
    lambda number: "-" + number, lambda _: "NaN", lambda _: "1e999", lambda _: "I can't tell",
)  # fmt: skip
CHOICE_SHAPES: tuple[Callable[[str], str], ...] = (
    str, str, str, str,
    "{}.".format, " {}".format, "({})".format, "{}) there".format, "{}. there".format,
    "{} there".format, "**{}**".format, "Answer: {}".format, "The answer is {}.".format,
    "<think>A or B</think>{}".format, "<answer>{}</answer>".format, "{} or B".format,
    "答案：{}".format, "{}\u2028".format,
    lambda letter: letter.lower(), lambda letter: OPTIONS[ord(letter) - 65],
    lambda letter: chr(ord(letter) + 0xFEE0), lambda letter: f"Option A: left\n{letter}",
    lambda _: "Because it is there", lambda _: "I can't tell",
)  # fmt: skip


def write(path: Path, answers: int = ANSWERS, seed: int = 0, stopping: bool = False) -> Path:
    """A file of answers, the right one or a near one in each shape.

    Args:
        path: to write.
        answers: how many.
        seed: of all choices.
        stopping: with three answers more at which one or another upstream's code ends.
    """
    rng = random.Random(seed)
    kinds = [*NUMBERS, *CHOICES]
    rows = []
    for number in range(answers):
        kind = kinds[number % len(kinds)]
        if kind in NUMBERS:
            truth = rng.choice(TRUTHS[kind])
            near = {"object_counting": max(int(float(truth)) + rng.choice([-1, 1]), 0)}
            other = near.get(kind, round(float(truth) * rng.choice([0.7, 0.8, 0.9, 1.1, 1.5]), 1))
            text = rng.choice(NUMBER_SHAPES)(truth if rng.random() < 0.5 else str(other))
        else:
            truth = rng.choice("ABCD")
            text = rng.choice(CHOICE_SHAPES)(truth if rng.random() < 0.7 else rng.choice("ABCD"))
        options = [f"{letter}. {word}" for letter, word in zip("ABCD", OPTIONS, strict=True)]
        rows.append(
            {
                "id": number,
                "scene": f"scene{rng.randrange(SCENES):04}",
                "kind": kind,
                "question": "Which?",
                "options": None if kind in NUMBERS else options,
                "answer": truth,
                "extra": {"pruned": rng.random() < 0.5},
                "text": text,
            }
        )
    if stopping:
        rows += [
            {**rows[number], "id": answers + number, "kind": kind, "answer": truth, "text": text}
            for number, (kind, truth, text) in enumerate(
                (
                    ("object_counting", "0", "0"),
                    ("route_planning", "A", ""),
                    ("object_counting", "3", "hundred " * 200),
                )
            )
        ]
    header = {"schema": 1, "benchmark": "vsi-bench", "questions": len(rows)}
    lines = [{"header": header}, *rows]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return path


def main() -> int:
    """Write, score, and tell; 1 when it took too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=ANSWERS)
    parser.add_argument("--stopping", action="store_true", help="with answers that end upstreams")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = write(Path(scratch) / "answers.jsonl", options.answers, stopping=options.stopping)
        command = [sys.executable, "-m", "geovr", "score", str(path), "--profile", "all"]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - start
    print(done.stdout)
    shapes = len(set(NUMBER_SHAPES)) + len(set(CHOICE_SHAPES))
    print(f"{options.answers} answers of {shapes} shapes: {seconds:.2f} s from start to end")
    return int(seconds > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
