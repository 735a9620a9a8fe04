"""The model card: what a registered version is, what it is worth, and where its limits are.

Written from what the artifacts and the decision say and nothing else: no time, no machine, no alias
that may move. So registering again gives the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from geovr import lineage, tracking
from geovr.artifacts import Checkpoint, EvalReport
from geovr.config import digest
from geovr.evaluation.comparison import p_text
from geovr.evaluation.kinds import CLIP_LEVEL, VSI_BENCH
from geovr.evaluation.report import Scores, render_markdown
from geovr.evaluation.statistics import Interval
from geovr.leakage.registration import TAG as LEAKAGE_TAG
from geovr.model_registry import ModelRegistry, Version
from geovr.promotion.decide import Decision
from geovr.storage import write_atomic

NAME = "MODEL_CARD.md"
MOST_DESCRIPTION = 5000
"""Characters of a version's description in MLflow's tables."""
_TEMPLATE = "MODEL_CARD.md.j2"


def card_key(checkpoint_digest: str) -> str:
    """Where the card of a checkpoint's newest registration lies in its store."""
    return f"model_cards/{checkpoint_digest}.md"


def publish_card(
    registry: ModelRegistry,
    version: Version,
    checkpoint: Checkpoint,
    evaluation: EvalReport,
    decision: Decision,
    directory: Path,
) -> None:
    """Write the card beside a registration's files, into the store, to the training's run, and as
    the version's description.

    Args:
        registry: of the model.
        version: that was registered.
        checkpoint: that it is.
        evaluation: that it was registered with.
        decision: on its promotion.
        directory: of the ModelVersion.
    """
    leakage = version.tags.get(LEAKAGE_TAG, "unknown")
    text = make_card(version.name, version.number, checkpoint, evaluation, decision, leakage)
    path = directory / NAME
    write_atomic(path, text.encode())
    checkpoint.store.put(card_key(checkpoint.digest), text.encode())
    run_id = checkpoint.manifest.details["mlflow_run_id"]
    with tracking.reopen(run_id) as run:
        run.log_artifact(path, "model_card")
    registry.describe(
        version.number, shortened(text, f"{NAME} among the artifacts of run {run_id}")
    )


def make_card(
    name: str,
    number: int,
    checkpoint: Checkpoint,
    evaluation: EvalReport,
    decision: Decision,
    leakage: str = "unknown",
) -> str:
    """The card as Markdown; equal arguments give equal bytes.

    Args:
        name: of the model.
        number: of the version.
        checkpoint: that it is.
        evaluation: that it was registered with.
        decision: on its promotion.
        leakage: what training and benchmark share, as the version's tag has it.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "interval": _interval, "cell": _cell, "p": p_text}
    trained = checkpoint.manifest.details
    parts = [lineage.Part.model_validate(part) for part in trained.get("lineage", [])]
    scores = _scores(evaluation)
    text = environment.get_template(_TEMPLATE).render(
        name=name,
        number=number,
        base=next((part for part in parts if part.role == "base model"), None),
        decision=decision,
        scores=scores,
        score_table=render_markdown(scores).strip() if scores else "",
        evaluation=_asked(evaluation),
        limits=_limits(scores, checkpoint),
        parts=parts,
        barred=lineage.barred_from_commerce(lineage.tags(parts)),
        training=[*_training(checkpoint), ("shared with the benchmark", leakage)],
        digests=_digests(checkpoint, evaluation),
    )
    return text.strip() + "\n"


def shortened(text: str, where: str, most: int = MOST_DESCRIPTION) -> str:
    """A card for a place that takes so many characters: whole sections, and where the rest is."""
    if len(text) <= most:
        return text
    told = f"\n(Shortened; the whole card is {where}.)\n"
    head = text[: most - len(told)]
    for end in ("\n## ", "\n"):
        cut = head.rfind(end)
        # a section that fills most of it is shown in part rather than left out
        if cut > len(head) // 2:
            return head[: cut + 1] + told
    return head + told


def _scores(evaluation: EvalReport) -> Scores | None:
    path = evaluation.directory / "report.json"
    return Scores.model_validate_json(path.read_bytes()) if path.is_file() else None


def _asked(evaluation: EvalReport) -> dict[str, Any]:
    details, counts = evaluation.manifest.details, evaluation.manifest.counts
    coverage = details.get("coverage") or {}
    return {
        "benchmark": details.get("benchmark") or "its own benchmark",
        "revision": details.get("revision"),
        "protocol": details.get("protocol") or "flow",
        "scoring": details.get("scoring") or "flow",
        "backend": details.get("backend") or "local",
        "questions": coverage.get("of") or counts.get("questions", 0),
        "answers": counts.get("answers", 0),
    }


def _limits(scores: Scores | None, checkpoint: Checkpoint) -> list[str]:
    """What must not be expected of it."""
    told = []
    if scores is not None:
        flat = [line.kind for line in scores.kinds if line.verdict != "above"]
        if flat:
            told.append(f"Not shown to be above the best constant answer at: {', '.join(flat)}.")
        blind = [
            line.kind for line in scores.kinds
            if line.blanked is not None and line.blanked >= line.score.mean
        ]  # fmt: skip
        if blind:
            told.append(f"Scores no higher than with the video blanked at: {', '.join(blind)}.")
        present = {line.kind for line in scores.kinds}
        unasked = [kind for kind in (*VSI_BENCH, *CLIP_LEVEL) if kind not in present]
        if unasked:
            told.append(f"Nothing is known about kinds that weren't asked: {', '.join(unasked)}.")
    config = checkpoint.manifest.config
    if config.get("numeric_answers") == "binned":
        told.append("It says numbers in steps of 8 %: none is more exact than that.")
    heads = [
        name for name, used in sorted((config.get("objectives") or {}).items()) if used is True
    ]
    taught = f" ({', '.join(heads)})" if heads else ""
    told.append(
        f"The heads that taught it geometry{taught} are not part of it: it answers in words, and"
        " gives no poses or depth. `geovr export` puts them beside it, in heads.safetensors."
    )
    told.append(
        "The scores hold for this benchmark and protocol: other frames, prompts or scorers give"
        " other numbers. Other places than those it was trained and asked on may be harder."
    )
    return told


def _training(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    config, details = checkpoint.manifest.config, checkpoint.manifest.details
    optim = config.get("optim") or {}
    found = {
        "steps": details.get("steps"),
        "final loss": None if (loss := details.get("final_loss")) is None else f"{loss:.4f}",
        "clips": checkpoint.manifest.counts.get("clips"),
        "clips per step": config.get("clips_per_batch"),
        "questions per clip": config.get("questions_per_clip"),
        "learning rate": optim.get("learning_rate"),
        "learning rate of heads": optim.get("head_learning_rate"),
        "adapters": None if config.get("lora") is None else json.dumps(config["lora"]),
        "numbers": config.get("numeric_answers"),
        "precision": config.get("precision"),
        "seed": config.get("seed"),
        "input": json.dumps(config["input"], sort_keys=True) if "input" in config else None,
        "objectives": (
            json.dumps(config["objectives"], sort_keys=True) if "objectives" in config else None
        ),
        "went on from": None if not (of := details.get("resumed_from")) else json.dumps(of),
    }
    return [(name, str(value)) for name, value in found.items() if value is not None]


def _digests(checkpoint: Checkpoint, evaluation: EvalReport) -> list[tuple[str, str]]:
    made, asked = checkpoint.manifest, evaluation.manifest
    dvc = made.details.get("dvc") or {}
    found = {
        "code": made.git_sha,
        "geovr": made.package_version,
        "checkpoint": checkpoint.digest,
        "training": made.details.get("key"),
        "training config": digest(made.config),
        **{name.replace("_", " "): value for name, value in sorted(made.inputs.items())},
        **{f"DVC {name}": value for name, value in sorted(dvc.items())},
        "evaluation": evaluation.digest,
        "clips asked about": asked.inputs.get("clips"),
        "benchmark": asked.details.get("benchmark_digest"),
        "protocol": asked.details.get("protocol_digest"),
        "answers": asked.details.get("predictions_sha256"),
    }
    return [(name, str(value)) for name, value in found.items() if value is not None]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _interval(gap: Interval) -> str:
    return f"{100 * gap.mean:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"


def _cell(text: object) -> str:
    """A text inside a table."""
    return " ".join(str(text).replace("|", "\\|").split())
