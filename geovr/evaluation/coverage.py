"""Of how many questions a benchmark consists, those included that ingest put aside."""

from __future__ import annotations

from geovr.artifacts import ClipSet
from geovr.errors import GateRefused
from geovr.evaluation.benchmarks.table import BENCHMARKS
from geovr.naming import named


def questions_of(clips: ClipSet, split: str) -> int:
    """Questions that a complete evaluation of a split would answer.

    Of a published benchmark the number that its table or the record of its fetch gives; of other
    questions those that ingest took in, and those of the split's files that it put aside.

    Args:
        clips: with what was put aside.
        split: that is the benchmark.
    """
    asked = int((clips.questions["split"] == split).sum())
    aside = clips.quarantine[clips.quarantine["what"] == "question"]["name"]
    told = clips.manifest.details.get("benchmark")
    if told is not None:
        source = BENCHMARKS.get(told["benchmark"])
        published = told.get("questions") or (source.count if source else None)
        return max(asked, published or asked + len(aside))
    files = [
        str(source["path"])
        for source in clips.manifest.config.get("questions") or ()
        if source["split"] == split
    ]
    labels = [str(name).rpartition(":")[0] for name in aside]
    # a label is the end of its file's path that no other file shares
    return asked + sum(any(f"/{file}".endswith(f"/{label}") for file in files) for label in labels)


_MOST_TOLD = 100


def check_whole(clips: ClipSet, split: str) -> None:
    """A published benchmark is asked as a whole.

    Raises:
        GateRefused: when some of its questions can't be asked; it names what ingest put aside.
    """
    told = clips.manifest.details.get("benchmark")
    if told is None:
        return
    asked, whole = int((clips.questions["split"] == split).sum()), questions_of(clips, split)
    if asked >= whole:
        return
    aside = [str(name) for name in clips.quarantine["name"]]
    told_aside = f"; put aside by ingest: {named(aside, _MOST_TOLD)}" if aside else ""
    raise GateRefused(
        f"{told['benchmark']}: {asked:,} of its {whole:,} questions can be asked{told_aside}; see"
        f" {clips.directory / 'quarantine.parquet'}, complete the benchmark's directory (`geovr"
        " benchmark verify`) and ingest it again, or set evaluate.partial to true"
    )
