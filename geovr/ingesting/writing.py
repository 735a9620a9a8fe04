"""The ClipSet: its tables, its manifest, and what is told of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geovr.artifacts import ClipSet, start_output
from geovr.ingesting.config import IngestConfig, sampler_key
from geovr.ingesting.window import window_of
from geovr.storage import Store, write_atomic

log = logging.getLogger("geovr")


def _without_nothing(row: dict[str, Any]) -> dict[str, Any]:
    """A question as the digest sees it: one without `extra` is what it was before there was any."""
    return {name: value for name, value in row.items() if name != "extra" or value is not None}


def write(
    config: IngestConfig,
    output: Path,
    version: dict[str, Any] | None,
    rows: list[dict[str, Any]],
    questions: list[dict[str, Any]],
    quarantine: list[dict[str, str]],
    decoded: int,
    benchmark: dict[str, Any] | None = None,
) -> ClipSet:
    """Write the ClipSet; its counts add up.

    Args:
        config: of the stage.
        output: directory.
        version: of the data, by DVC.
        rows: of the clips.
        questions: joined with them.
        quarantine: what was put aside.
        decoded: clips that were not in the store.
        benchmark: name, revision and number of questions of a published one.
    """
    import pandas as pd

    from geovr.data import fingerprint
    from geovr.data.clips import (
        CLIP_COLUMNS,
        DERIVED_COLUMNS,
        QUARANTINE_COLUMNS,
        QUESTION_COLUMNS,
        index_content,
    )

    window = window_of(config)
    directory = start_output(output)
    for name, table, columns in (
        ("index", rows, CLIP_COLUMNS),
        ("questions", questions, QUESTION_COLUMNS),
        ("quarantine", quarantine, QUARANTINE_COLUMNS),
    ):
        data = pd.DataFrame(table, columns=list(columns)).to_parquet()
        write_atomic(directory / f"{name}.parquet", data)
    videos_aside = sum(row["what"] == "video" for row in quarantine)
    questions_aside = len(quarantine) - videos_aside
    clips = ClipSet.commit(
        directory,
        inputs={},
        config=config.model_dump(mode="json", exclude={"workers"}),
        counts={
            "videos_in": len(rows) + videos_aside,
            "clips": len(rows),
            "videos_quarantined": videos_aside,
            "questions_in": len(questions) + questions_aside,
            "questions": len(questions),
            "questions_quarantined": questions_aside,
        },
        store=Store.open(config.store).uri,
        content={
            "clips": index_content(rows, ("video_uri", *DERIVED_COLUMNS)),
            "questions": index_content(list(map(_without_nothing, questions)), ("source",)),
        },
        details={
            "sampler": config.sampler.model_dump(),
            "sampler_key": sampler_key(config),
            "dvc": version,
            "window": window and window.model_dump(mode="json"),
            "benchmark": benchmark,
            "fingerprint": fingerprint.VERSION,
            "protocol": config.protocol,
            "decoded": decoded,
            "reused": len(rows) - decoded,
        },
    )
    for line in _summary(clips, quarantine):
        log.info("%s", line)
    return clips


def _summary(clips: ClipSet, quarantine: list[dict[str, str]]) -> Iterator[str]:
    counts, details = clips.manifest.counts, clips.manifest.details
    yield (
        f"ingest: {counts['clips']} clips ({details['decoded']} decoded, {details['reused']}"
        f" reused), {counts['questions']} questions; put aside: {counts['videos_quarantined']}"
        f" videos, {counts['questions_quarantined']} questions"
    )
    for row in quarantine[:20]:
        yield f"  put aside {row['name']}: {row['reason']}; {row['remedy']}"
    if len(quarantine) > 20:
        yield f"  and {len(quarantine) - 20} more: see {clips.directory / 'quarantine.parquet'}"


def pass_on(uri: str, output: Path) -> ClipSet:
    """A ClipSet that exists, verified, as this stage's output."""
    clips = ClipSet.load(uri)
    directory = start_output(output)
    for name in (*clips.manifest.files, "manifest.json"):
        write_atomic(directory / name, (clips.directory / name).read_bytes())
    log.info("ingest: passed on %s with %d clips", uri, len(clips.index))
    return ClipSet.load(directory)
