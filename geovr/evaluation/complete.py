"""Nothing missing in silence: each question answered exactly once, and by what the header says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from geovr.config import canonical_json
from geovr.errors import GateRefused
from geovr.evaluation.predictions import Predictions
from geovr.naming import named

_MOST_TOLD = 100


def check_complete(
    found: Predictions, ids: Sequence[object], header: dict[str, Any], name: str
) -> None:
    """Every question answered exactly once, and nothing but what was asked.

    Args:
        found: the file's content.
        ids: of the questions that were asked, in order.
        header: of the evaluation that asked them.
        name: of the file, for the message.

    Raises:
        GateRefused: with numbers and ids.
    """
    check_ids([str(row["id"]) for row in found.rows], list(map(str, ids)), name)
    wanted = json.loads(canonical_json(header))
    other = sorted(k for k in {*wanted, *found.header} if wanted.get(k) != found.header.get(k))
    if other:
        raise GateRefused(
            f"{name}: its header is not that of these questions: {', '.join(other)} differ; delete"
            " the file and run evaluate again"
        )


def check_ids(found: list[str], wanted: list[str], name: str) -> None:
    """Each id once, in the order of the questions.

    Raises:
        GateRefused: with numbers and ids.
    """
    if found == wanted:
        return
    known = set(wanted)
    faults = {
        "missing": sorted(known - set(found)),
        "twice": sorted(one for one, count in Counter(found).items() if count > 1),
        "extra": sorted(set(found) - known),
    }
    told = "; ".join(
        f"{len(ids)} {what}: {named(ids, _MOST_TOLD)}" if ids else f"0 {what}"
        for what, ids in faults.items()
    )
    order = "" if any(faults.values()) else "; they are in another order"
    raise GateRefused(
        f"{name}: {len(found)} answers to {len(wanted)} questions; {told}{order}; delete the file"
        " and run evaluate again"
    )
