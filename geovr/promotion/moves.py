"""Moving the champion's alias in several steps, any of which may be the last one before a kill.

What is to become of the aliases is written down first, and struck out when it is done; all of it
under the model's lease. Whoever takes the lease next finishes what stands there.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from geovr.model_registry import ModelRegistry
from geovr.storage import Store


@dataclass(frozen=True)
class Move:
    """The champion's alias goes to another version.

    Attributes:
        to: number of the version that becomes champion.
        over: of the one that was it and becomes `previous`; None where there was none.
        reason: in a sentence.
        back: whether it is the way back.
    """

    to: int
    over: int | None
    reason: str
    back: bool = False


def _key(registry: ModelRegistry) -> str:
    return f"promotion/{registry.name}/move.json"


def carry_out(registry: ModelRegistry, store: Store, move: Move) -> None:
    """Move the aliases; the caller holds the lease."""
    store.put(_key(registry), json.dumps(asdict(move), sort_keys=True).encode())
    _apply(registry, store, move)


def finish(registry: ModelRegistry, store: Store) -> Move | None:
    """Do what somebody was killed in the middle of; the caller holds the lease.

    Returns:
        what was finished, None when nothing was left to do.
    """
    if not store.exists(_key(registry)):
        return None
    move = Move(**json.loads(store.get(_key(registry))))
    _apply(registry, store, move)
    return move


def _apply(registry: ModelRegistry, store: Store, move: Move) -> None:
    registry.make_champion(move.to, move.reason, move.over)
    store.remove(_key(registry))
