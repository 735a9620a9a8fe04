"""The model card: what it says, that it says the same again, and where it lies."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from geovr import promotion, tracking
from geovr.artifacts import Checkpoint, EvalReport
from geovr.evaluation.kinds import CLIP_LEVEL, VSI_BENCH
from geovr.evaluation.report import Scores
from geovr.model_registry import CHAMPION, ModelRegistry
from geovr.promotion.card import MOST_DESCRIPTION, NAME, make_card, shortened
from geovr.promotion.decide import Decision, decide
from tests.test_promotion import RULES, answers_of, registered, version
from tests.workspace import Workspace, make_workspace


@pytest.fixture
def made(flown: Workspace) -> tuple[Checkpoint, EvalReport]:
    artifacts = flown.root / "artifacts"
    return Checkpoint.load(artifacts / "checkpoint"), EvalReport.load(artifacts / "evaluation")


def sections(card: str) -> dict[str, str]:
    """Heading -> text."""
    head, *rest = card.split("\n## ")
    return {"": head} | {part.split("\n", 1)[0]: part.split("\n", 1)[1] for part in rest}


def test_a_card_says_what_the_artifacts_say(made: tuple[Checkpoint, EvalReport]) -> None:
    checkpoint, evaluation = made
    first = Decision(True, "it is the first version")
    card = make_card("geovr", 1, checkpoint, evaluation, first, "none")
    assert card == make_card("geovr", 1, checkpoint, evaluation, first, "none")
    # the flow's own model leaks nothing, and its card says so
    kept = (evaluation.directory.parent / "model_version" / NAME).read_text()
    assert "| shared with the benchmark | none |" in kept
    told = sections(card)
    assert "# geovr, version 1" in told[""] and "**approved**" in told[""]
    scores = Scores.model_validate_json((evaluation.directory / "report.json").read_text())
    assert f"{scores.items} questions of its own benchmark" in told["Scores"]
    assert "protocol `flow`, scored by `flow`, backend local" in told["Scores"]
    assert "| shared with the benchmark | none |" in told["Training"]
    assert f"coverage {scores.items}/{scores.published}" in told["Scores"]
    for line in scores.kinds:
        mean, low, high = (100 * v for v in (line.score.mean, line.score.low, line.score.high))
        row = next(r for r in told["Scores"].splitlines() if r.startswith(f"| {line.kind}"))
        assert f"{mean:.1f} [{low:.1f}, {high:.1f}]" in row
        assert f"| {100 * line.best_constant:.1f} |" in row
    assert "There is no comparison: it is the first version." in told["Compared with the champion"]
    limits = told["Limits"]
    flat = [line.kind for line in scores.kinds if line.verdict != "above"]
    assert f"best constant answer at: {', '.join(flat)}." in limits
    asked = {line.kind for line in scores.kinds}
    unasked = [kind for kind in (*VSI_BENCH, *CLIP_LEVEL) if kind not in asked]
    assert "route_planning" in unasked and f"weren't asked: {', '.join(unasked)}." in limits
    assert "steps of 8 %" in limits
    assert "(camera, depth, features, scale) are not part of it" in limits
    for part in checkpoint.manifest.details["lineage"]:
        assert f"| {part['role']} | {part['name']} | {part['license']} |" in told["Made from"]
    assert "| steps | 6 |" in told["Training"] and "| seed | 42 |" in told["Training"]
    digests = told["To make it again"]
    for digest in (
        checkpoint.digest, evaluation.digest, *checkpoint.manifest.inputs.values(),
        evaluation.manifest.details["benchmark_digest"], checkpoint.manifest.git_sha,
        evaluation.manifest.details["predictions_sha256"],
    ):  # fmt: skip
        assert f"`{digest}`" in digests
    assert "models:/geovr/1" in told["How to load"]


def test_a_comparison_is_in_the_card(made: tuple[Checkpoint, EvalReport], tmp_path: Path) -> None:
    ours = version(2, tmp_path, turn=38, path_length=20)
    theirs = version(1, tmp_path, turn=10, path_length=30)
    refused = decide(ours, theirs, RULES, commercial=False, answers=answers_of)
    told = sections(make_card("m", 2, *made, refused))["Compared with the champion"]
    assert "With version 1" in told
    assert "| turn | 40 | 95.0 | 25.0 | +70.0 [" in told and "| above |" in told
    length = next(line for line in told.splitlines() if line.startswith("| path_length"))
    assert "| 50.0 | 75.0 | -25.0 [" in length and length.endswith("| below |")
    # the decision is the same after a way through JSON
    again = Decision.of(json.loads(json.dumps(refused.told())))
    assert again == refused and again.p_value == again.table[0].p < 0.01


def test_cells_do_not_break_the_table(made: tuple[Checkpoint, EvalReport]) -> None:
    checkpoint, evaluation = made
    odd = {"role": "teacher", "name": "a|b\nc", "license": "l", "commercial_use": None}
    details = checkpoint.manifest.details | {"lineage": [odd]}
    changed = Checkpoint(
        checkpoint.directory, checkpoint.manifest.model_copy(update={"details": details})
    )
    card = make_card("m", 1, changed, evaluation, Decision(True, "first"))
    assert "| teacher | a\\|b c | l | not known |" in card
    assert "is not known to allow it." in card


def test_a_description_is_cut_between_sections() -> None:
    card = "# a\n\nfirst\n" + "".join(f"\n## part {n}\n\n{'word ' * 150}\n" for n in range(9))
    short = shortened(card, "elsewhere")
    assert len(card) > MOST_DESCRIPTION >= len(short)
    assert short.endswith("(Shortened; the whole card is elsewhere.)\n")
    kept = short[: short.index("\n(Shortened")]
    assert card.startswith(kept) and card[len(kept) :].startswith("## part 6")
    assert shortened("x" * MOST_DESCRIPTION, "w") == "x" * MOST_DESCRIPTION
    assert len(shortened("x" * 9000, "w")) == MOST_DESCRIPTION
    # one long section is shown in part
    long = shortened("# a\n\n## b\n" + "line\n" * 2000, "w")
    assert MOST_DESCRIPTION - 10 < len(long) <= MOST_DESCRIPTION


def test_registering_puts_the_card_everywhere_and_again_the_same(
    flown: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = make_workspace(tmp_path / "work", flown.root)
    monkeypatch.setitem(os.environ, "GEOVR_HOME", str(work.root / ".geovr"))
    path = work.root / "artifacts/model_version/MODEL_CARD.md"
    card, decision = path.read_bytes(), path.with_name("decision.json").read_bytes()
    checkpoint = work.manifest("checkpoint")
    run_id = checkpoint["details"]["mlflow_run_id"]

    def described() -> tuple[str, int]:
        told = tracking.client().get_model_version("geovr", "1")
        return told.description, told.last_updated_timestamp

    text, _ = described()
    assert len(text) <= MOST_DESCRIPTION and card.decode().startswith(text.split("\n(Short")[0])
    kept = tracking.client().download_artifacts(run_id, "model_card/MODEL_CARD.md")
    assert Path(kept).read_bytes() == card
    assert "MODEL_CARD.md" in work.manifest("model_version")["files"]
    work.inline("register")
    assert path.read_bytes() == card and described()[0] == text
    # it is the champion by now, and the decision that made it so is told again
    assert path.with_name("decision.json").read_bytes() == decision
    assert json.loads(decision)["reason"] == "it is the first version"
    work.inline("export", "artifacts/checkpoint", "out")
    assert (work.root / "out/MODEL_CARD.md").read_bytes() == card


def test_the_numbers_of_a_promotion_are_told_again(tmp_path: Path) -> None:
    registry = registered(tmp_path, 10, 30)
    promotion.promote("m", 1, RULES)
    first = promotion.judge(registry, registry.version(2), RULES, commercial=False)
    assert first.approved and first.champion == 1 and first.table[0].difference.mean == 0.5
    again = promotion.judge(registry, registry.version(2), RULES, commercial=False)
    assert again == first
    champion = registry.by_alias(CHAMPION)
    assert champion is not None and champion.number == 2
    # without its record, as versions of before have none, the reason is left
    (tmp_path / "promotion/m/decisions/00000002.json").unlink()
    bare = promotion.judge(registry, registry.version(2), RULES, commercial=False)
    assert (bare.approved, bare.reason, bare.table) == (True, first.reason, ())
    # a record of another decision is not this one's
    other = tmp_path / "promotion/m/decisions/00000002.json"
    other.write_text(json.dumps(Decision(False, "no").told()))
    assert promotion.judge(registry, registry.version(2), RULES, commercial=False) == bare


def test_a_description_that_is_there_is_not_set_again(tmp_path: Path) -> None:
    registry: ModelRegistry = registered(tmp_path, 10)
    registry.describe(1, "text")
    before = tracking.client().get_model_version("m", "1").last_updated_timestamp
    registry.describe(1, "text")
    after = tracking.client().get_model_version("m", "1")
    assert (after.last_updated_timestamp, after.description) == (before, "text")
