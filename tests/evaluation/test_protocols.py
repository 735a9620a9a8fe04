"""Prompts to the letter, and digests that change with all that changes an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import ValidationError

from geovr.data.input import InputConfig
from geovr.data.prompts import prompt_text
from geovr.errors import UserError
from geovr.evaluation.backend import BackendConfig
from geovr.evaluation.benchmarks.item import BenchmarkItem
from geovr.evaluation.benchmarks.reader import read
from geovr.evaluation.benchmarks.table import BENCHMARKS, DATASETS
from geovr.evaluation.header import prediction_header
from geovr.evaluation.protocol import Generation, Prompts, Protocol
from geovr.evaluation.protocols import FLOW, PROTOCOLS, protocol_named, protocols_of
from tests import published
from tests.workspace import REPOSITORY


@dataclass(frozen=True)
class Row:
    """A question as a ClipSet's table has it."""

    question: str
    options: tuple[str, ...] | None = None
    kind: str = "x"


TWO = ("A. left", "B. right")
# written out by hand from the upstream files that each protocol names
GOLDEN: list[tuple[str, Row, str]] = [
    ("vsi-bench/official", Row("How many?"),
     ("These are frames of a video.\nHow many?\n"
     "Please answer the question using a single word or phrase.")),
    ("vsi-bench/official", Row("Where?", TWO),
     ("These are frames of a video.\nWhere?\nOptions:\nA. left\nB. right\n"
     "Answer with the option's letter from the given choices directly.")),
    ("vsi-bench/easi", Row("How many?"),
     "These are frames of a video.\nHow many?\nAnswer briefly and directly in one float number."),
    ("vsi-bench/easi", Row("Where?", TWO),
     ("These are frames of a video.\nWhere?\nA. left\nB. right\n"
     "Answer with the option's letter from the given choices directly.")),
    ("vsi-bench/geovr-paper", Row("How many?"),
     "How many?\nPlease answer the question ONLY using a single Arabic numeral."),
    ("vsi-bench/geovr-paper", Row("Where?", TWO),
     "Where?\nA. left\nB. right\nAnswer with ONLY the option's letter directly."),
    ("revsi-64/official", Row("How many?"),
     ("These are frames of a video.\nHow many?\n"
     "Answer the question using a single integer or decimal number.")),
    ("spbench-si/official", Row("Where?", TWO),
     ("Question: Where?\nOptions:\nA. left\nB. right\n\nPlease answer with the option's letter from"
     " the given choices (e.g., A, B, etc.) directly.")),
    ("spar-bench/official", Row("How deep?", kind="depth_prediction_oc"),
     "\nHow deep?\nPlease answer the question using a single word or phrase."),
    ("spar-bench/official", Row("Where? A. x B. y", TWO, "spatial_imagination_oc"),
     "\nWhere? A. x B. y\n\nAnswer with the option's letter from the given choices directly."),
    ("spar-bench/official", Row("Match? A. x B. y", TWO, "position_matching"),
     ("\nMatch? A. x B. y\nThe values represent the bounding box coordinates normalized to a 0-1000"
     " scale, with the top-left corner as the origin of the image.\n"
     "Answer with the option's letter from the given choices directly.")),
    ("spar-bench/official", Row("Moved?", kind="view_change_infer"), "\nMoved?\n\n"),
    ("mmsi-bench/official", Row("Turned? Options: A: x, B: y", TWO),
     ("Turned? Options: A: x, B: y\nAnswer with the option's letter from the given choices"
     " directly. Enclose the option's letter within ``.")),
    ("viewspatial-bench/official", Row("Where?", TWO),
     "Where?A. left\nB. right\nReply only to the corresponding option.\nAnswer:"),
    ("viewspatial-bench/easi", Row("Where?", TWO),
     ("Question: Where?\nChoices: A. left\nB. right\nReply only to the corresponding option.\n"
     "Answer:")),
    ("cv-bench/lmms", Row("How many?\n(A) 1\n(B) 2", TWO),
     ("Note: You only need to respond with A, B without providing any additional information.\n\n"
     "How many?\n(A) 1\n(B) 2")),
    ("blink-spatial/lmms", Row("Which?\n(A) 1\n(B) 2", TWO),
     ("Note: You only need to respond with A, B without providing any additional information.\n"
     "Which?\n(A) 1\n(B) 2")),
    ("blink-spatial/official", Row("Which?\n(A) 1", TWO), "Which?\n(A) 1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "row", "text"), GOLDEN)
def test_prompts_to_the_letter(name: str, row: Row, text: str) -> None:
    assert protocol_named(name).render(row) == text


def test_sti_bench_tells_the_sampled_rate_and_writes_options_without_a_full_stop() -> None:
    protocol = protocol_named("sti-bench/official")
    row = Row("From 1.5 seconds to 4.0 seconds. How fast?", ("A. 1 m/s", "B. 2 m/s"))
    assert protocol.render(row, sample_fps=2.4999) == (
        "Answer the question below based on the frames provided, which are sampled at about 2.50"
        " FPS.\nQuestion: From 1.5 seconds to 4.0 seconds. How fast?\nA 1 m/s\nB 2 m/s\n"
        "Please output only the option you choose!"
    )
    assert protocol.media == "after"
    with pytest.raises(UserError, match="sampled rate"):
        protocol.render(row)


def test_the_flows_own_protocol_says_what_training_says() -> None:
    for row in (Row("How {fps} many?"), Row("Where?", TWO), Row("Where?", ())):
        assert FLOW.render(row) == prompt_text(row.question, row.options)
    assert protocol_named("flow") is FLOW and "flow" not in PROTOCOLS


def test_a_question_with_braces_is_put_in_as_it_is() -> None:
    row = Row("What is {options} or {question}?", TWO)
    assert "What is {options} or {question}?\nA. left" in protocol_named(
        "vsi-bench/geovr-paper"
    ).render(row)


@pytest.mark.parametrize("name", published.LAYOUTS)
def test_every_benchmark_has_an_official_protocol_that_renders_its_items(
    name: str, tmp_path: Path
) -> None:
    names = protocols_of(name)
    assert any(one.endswith("/official") for one in names)
    for item in read(BENCHMARKS[name], published.LAYOUTS[name](tmp_path)):
        assert isinstance(item, BenchmarkItem)
        for one in names:
            text = PROTOCOLS[one].render(item, sample_fps=1.0)
            assert item.question in text
            inside = BENCHMARKS[name].options_inside
            shown = [option.split(". ", 1)[-1] for option in item.options or ()]
            assert all(option in text for option in shown)
            assert not inside or all(text.count(f"\n{o}") <= 1 for o in item.options or ())


def test_every_benchmark_of_the_table_has_a_protocol_and_the_other_way_round() -> None:
    assert all(protocols_of(name) for name in BENCHMARKS)
    assert {protocol.benchmark for protocol in PROTOCOLS.values()} <= set(BENCHMARKS)
    for name, protocol in PROTOCOLS.items():
        assert name == protocol.name and protocol.source
        images = BENCHMARKS[protocol.benchmark].media_type == "images"
        assert (protocol.frames is None) == images, name
    assert protocols_of("vsi-bench-debiased") == protocols_of("vsi-bench")


def test_the_digest_hangs_on_all_that_changes_an_answer_and_on_nothing_else() -> None:
    official = protocol_named("vsi-bench/official")
    same = official.model_copy(update={"source": "elsewhere", "name": "vsi-bench/mine"})
    assert same.digest == official.digest
    changes = {
        "frames": 64, "sampler": "linspace_round", "media": "after", "max_pixels": 1000,
        "prompts": Prompts(number="{question}?"), "generation": Generation(max_new_tokens=17),
        "benchmark": "vsi-bench-debiased",
    }  # fmt: skip
    digests = {
        official.model_copy(update={key: value}).digest for key, value in changes.items()
    } | {official.digest}
    assert len(digests) == len(changes) + 1
    assert len({protocol.digest for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)


def test_a_protocol_that_makes_no_sense_is_refused() -> None:
    for values in (
        {"frames": 8},
        {"sampler": "fps_tail", "frames": 8},
        {"sampler": "uniform_tail"},
    ):
        with pytest.raises(ValidationError, match=r"frames need a sampler|needs"):
            Protocol(name="x/y", benchmark="x", **values)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"no such protocol; known are vsi-bench/official"):
        protocol_named("vsi")


def test_the_head_of_a_prediction_file() -> None:
    protocol = protocol_named("vsi-bench/geovr-paper")
    head = prediction_header(
        protocol, benchmark="vsi-bench", benchmark_digest="d" * 64, revision="c" * 40,
        sampler={"kind": "linspace_round", "num_frames": 128, "max_side": 1024},
        clips={"b": ("2" * 64, [0, 5]), "a": ("1" * 64, [3])}, model_digest="m" * 64,
        decoding="sampled", shown=InputConfig(), views=("video",), batch_rows=4, seed=3,
        backend=BackendConfig(), ids=["1", "0"], published=3, questions_sha256="q" * 64,
    )  # fmt: skip
    assert json.loads(json.dumps(head)) == head
    assert head["protocol_digest"] == protocol.digest and head["revision"] == "c" * 40
    assert head["sampler"] == {"kind": "linspace_round", "num_frames": 128, "max_side": 1024}
    assert (
        head["questions"] == 2
        and head["published"] == 3
        and head["seed"] == 3
        and head["backend"] == {"kind": "local"}
    )
    assert head["generation"]["temperature"] == 0.7 and head["model_digest"] == "m" * 64
    assert list(head["clips"]) == ["a", "b"]
    assert head["clips"]["b"] == {"sha256": "2" * 64, "frame_indices": [0, 5]}


def test_the_documents_table_is_the_programs() -> None:
    text = (REPOSITORY / "docs/benchmarks.md").read_text()
    for name, source in (BENCHMARKS | DATASETS).items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert (source.revision[:12] if source.revision else "first use") in row
        assert (f"{source.count:,}" if source.count else "|") in row and source.licence in row
        assert all(f"`{one.split('/')[1]}`" in row for one in protocols_of(name))
