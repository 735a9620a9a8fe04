"""What a training was started with, in training/<key>/config.json, and what may differ later.

Free of torch, so that a refusal comes before anything heavy is loaded.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from geovr.config import Config
from geovr.errors import UserError
from geovr.lineage import Part
from geovr.storage import Store
from geovr.training.config import NOT_IN_KEY, TrainConfig

log = logging.getLogger("geovr")

_ABSENT = object()


class Record(Config):
    """A training as it was first started."""

    config: dict[str, Any]
    inputs: dict[str, str]
    """Content digests."""
    lineage: list[Part]
    """What its weights come from, all of it."""
    inherited: list[Part]
    """The share of it that comes with the training it goes on from."""


def prefix_of(key: str) -> str:
    """Where a training's objects are in the store."""
    return f"training/{key}"


def record_start(
    store: Store, key: str, config: TrainConfig, inputs: dict[str, str], lineage: list[Part]
) -> list[Part]:
    """Record a training's start, or hold this start to the record.

    Args:
        store: of the training.
        key: of the training.
        config: of this start.
        inputs: content digests of this start.
        lineage: of base model and teachers of this start.

    Returns:
        the lineage, with that of the training it goes on from.

    Raises:
        UserError: with each difference, when what decides the result differs from the record, or
            from that of the training named by `resume_from`, and `resume_changed` is false.
    """
    said = config.model_dump(mode="json")
    new = Record(config=said, inputs=inputs, lineage=lineage, inherited=[])
    place = f"{prefix_of(key)}/config.json"
    old = _read(store, place)
    changed = list(differences(_decisive(old), _decisive(new))) if old else []
    if changed:
        _refuse_unless_told(
            config,
            f"{store.uri_of(place)}: this training was started otherwise",
            changed,
            "restore that file, or use another store",
        )
    inherited = _inherited(store, config, new) if old is None else old.inherited
    everything = list(dict.fromkeys([*lineage, *inherited]))
    if old is None or changed:
        record = new.model_copy(update={"lineage": everything, "inherited": inherited})
        store.put(place, record.model_dump_json(indent=1).encode())
    return everything


def _inherited(store: Store, config: TrainConfig, new: Record) -> list[Part]:
    """Lineage of the training to go on from, once it has been compared with this one."""
    if config.resume_from is None:
        return []
    place = f"{prefix_of(config.resume_from)}/config.json"
    origin = _read(store, place)
    if origin is None:
        raise UserError(
            f"train.resume_from: {store.uri_of(place)} is missing or unreadable, so there is no"
            " telling what that training was; name the `key` in the manifest.json of a Checkpoint"
            " that was trained in this store"
        )
    apart = "resume_from"
    changed = list(differences(_decisive(origin, apart), _decisive(new, apart)))
    if changed:
        _refuse_unless_told(
            config,
            f"train.resume_from: training {config.resume_from} was started otherwise",
            changed,
            "undo these changes",
        )
    return origin.lineage


def _refuse_unless_told(config: TrainConfig, what: str, changed: list[str], remedy: str) -> None:
    told = f"{what} (old -> new):\n" + "\n".join(f"  {line}" for line in changed)
    if not config.resume_changed:
        raise UserError(f"{told}\n{remedy}, or set train.resume_changed: true to go on like this")
    log.warning("%s", told)


def _read(store: Store, key: str) -> Record | None:
    """A record; None when there is none that can be read, which a damaged one's log line says."""
    if not store.exists(key):
        return None
    try:
        return Record.model_validate_json(store.get(key))
    except ValidationError as error:
        log.warning("%s is not readable and left aside: %s", store.uri_of(key), error)
        return None


def _decisive(record: Record, *apart: str) -> dict[str, Any]:
    """What decides the trained weights. The base model counts by its digest, not by its place."""
    left_out = NOT_IN_KEY | {"base_model", *apart}
    values = {name: value for name, value in record.config.items() if name not in left_out}
    return {"train": values, "inputs": record.inputs}


def resumed_from(store: Store, prefix: str) -> dict[str, Any] | None:
    """Key and step that a training went on from; None for one that started from its base model."""
    key = f"{prefix}/resumed.json"
    if not store.exists(key):
        return None
    told: dict[str, Any] = json.loads(store.get(key))
    return told


def differences(old: Mapping[str, Any], new: Mapping[str, Any], parents: str = "") -> Iterator[str]:
    """Lines `dotted.key: old -> new` for all that differs between two trees, sorted by key."""
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from differences(one, other, f"{parents}{name}.")
        elif one != other:
            yield f"{parents}{name}: {_told(one)} -> {_told(other)}"


def _told(value: Any) -> str:
    return "absent" if value is _ABSENT else json.dumps(value, sort_keys=True)
