"""What is asked in VSI-Bench, as all its scorers sort it."""

from __future__ import annotations

from geovr.evaluation.kinds import VSI_BENCH
from geovr.evaluation.profiles.profile import Judged, Said
from geovr.evaluation.profiles.reading import stopped
from geovr.evaluation.scorers import DIRECTION, DIRECTIONS

BENCHMARKS = ("vsi-bench", "vsi-bench-debiased", "vsi-bench-pruned")
NUMBERS = VSI_BENCH[:4]
CHOICES = (*DIRECTIONS, *(kind for kind in VSI_BENCH[4:] if kind != DIRECTION))
KINDS = frozenset((*NUMBERS, *CHOICES))


def unknown(said: Said) -> Judged:
    """A question of no kind of the benchmark, at which the scorers end."""
    return stopped(f"ValueError: Unknown question type: {said.kind}")
