"""Targets with a fault planted into them, to see whether a study would notice (see faults.py).

Such a TargetSet looks like any other, and a training takes it as one. Its details say
`planted: <fault>`, which goes into the lineage of what learns from it: that is never promoted.
Objects lie beside the true ones in the store, under targets/planted-<fault>-<key>/.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from geovr.artifacts import TargetSet, start_output
from geovr.config import digest
from geovr.data.objects import BrokenObject, unseal
from geovr.errors import LostObject, UserError
from geovr.storage import Store, sha256_bytes, write_atomic
from geovr.study.config import Fault

log = logging.getLogger("geovr")

CODE_VERSION = 1
"""Part of every key; raise it when a fault changes what it does."""
_THREADS = 4
"""Objects read or written at once; numpy and hashing leave the core free."""

_Make = Callable[[Any], bytes]
"""Index row of a clip's true targets -> bytes of its planted ones."""


def plant(fault: Fault, targets: TargetSet, output: Path, *, seed: int = 0) -> TargetSet:
    """The same targets with one fault in every clip's.

    What an earlier call finished, or left behind when it was killed, is used again.

    Args:
        fault: which.
        targets: true ones.
        output: directory of the new TargetSet.
        seed: of what is drawn or exchanged.

    Raises:
        UserError: for targets that have a fault already or are to be overwritten, and for a clip
            that can't have this one.
    """
    if "planted" in targets.manifest.details:
        had = targets.manifest.details["planted"]
        raise UserError(f"{targets.directory}: has {had} planted already; give the true targets")
    if output.resolve() == targets.directory.resolve():
        raise UserError(f"{output}: holds the true targets; give another directory")
    config = targets.manifest.config | {
        "plant": {"fault": fault, "seed": seed, "code_version": CODE_VERSION}
    }
    inputs = {"clips": targets.manifest.inputs["clips"], "targets": targets.digest}
    there = _there(output, targets.store, config, inputs)
    return there or _write(output, targets, config, inputs, _objects(fault, targets, seed))


def _there(
    output: Path, store: Store, config: dict[str, Any], inputs: dict[str, str]
) -> TargetSet | None:
    """What an earlier call left at the same place, if it is this and whole.

    Objects are asked for their size only: whoever reads them verifies their bytes.
    """
    if not (output / "manifest.json").is_file():
        return None
    try:
        found = TargetSet.load(output)
    except UserError as error:
        log.warning("%s; looking into every object instead", error)
        return None
    manifest = found.manifest
    if (manifest.config, manifest.inputs, manifest.store) != (config, inputs, store.uri):
        return None
    with ThreadPoolExecutor(_THREADS) as pool:
        sizes = list(pool.map(store.size, found.index["object_key"]))
    return found if sizes == list(found.index["object_bytes"]) else None


def _objects(fault: Fault, targets: TargetSet, seed: int) -> list[dict[str, Any]]:
    """Index rows of planted targets, all of whose objects stand in the store."""
    from geovr.progress import progress

    rows, store = list(targets.index.itertuples(index=False)), targets.store
    told = {"fault": fault, "seed": seed, "targets": targets.digest, "code": CODE_VERSION}
    place = f"targets/planted-{fault}-{digest(told)[:16]}"
    keys = [_key(place, row.clip_id) for row in rows]
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        progress(f"plant {fault}: looking in the store", len(rows), "clips") as bar,
    ):
        found = []
        for one in pool.map(lambda row, key: _found(store, row, key), rows, keys):
            found.append(one)
            bar.advance()
    missing = [number for number, one in enumerate(found) if one is None]
    if missing:
        make = _maker(fault, targets, rows, seed)

        def keep(number: int) -> dict[str, Any]:
            data = make(rows[number])
            store.put(keys[number], data)
            return _index_row(rows[number], keys[number], data)

        with (
            ThreadPoolExecutor(_THREADS) as pool,
            progress(f"plant {fault}", len(rows), "clips", len(rows) - len(missing)) as bar,
        ):
            for number, made in zip(missing, pool.map(keep, missing), strict=True):
                found[number] = made
                bar.advance()
    return [one for one in found if one is not None]


def _key(place: str, clip_id: str) -> str:
    name = hashlib.sha256(clip_id.encode()).hexdigest()
    return f"{place}/{name[:2]}/{name}.safetensors"


def _found(store: Store, row: Any, key: str) -> dict[str, Any] | None:
    try:
        return _index_row(row, key, store.get(key))
    except (LostObject, BrokenObject):
        return None


def _index_row(row: Any, key: str, data: bytes) -> dict[str, Any]:
    told: dict[str, Any] = row._asdict()
    return told | {
        "object_key": key,
        "object_bytes": len(data),
        "object_sha256": sha256_bytes(data),
        "scale_valid": bool(unseal(data)["metric_scale_valid"][0]),
    }


def _maker(fault: Fault, targets: TargetSet, rows: Sequence[Any], seed: int) -> _Make:
    """What makes a clip's planted targets; measures the whole set first where it must."""
    from geovr.data.objects import seal
    from geovr.progress import tracked
    from geovr.study import faults

    store = targets.store

    def read(row: Any) -> faults.Tensors:
        return unseal(store.get(row.object_key, row.object_sha256))

    def random_of(row: Any) -> np.random.Generator:
        return _random(fault, seed, row.clip_id)

    reading = (read(row) for row in rows)
    if fault == "targets_of_other_clips":
        shapes = [
            str(sorted((name, value.dtype.str, value.shape) for name, value in tensors.items()))
            for tensors in tracked(reading, f"plant {fault}: comparing", len(rows), "clips")
        ]
        others = faults.exchange(rows, shapes, _random(fault, seed, ""))
        return lambda row: store.get(*others[row.object_key])
    if fault == "noise":
        of = faults.moments(tracked(reading, f"plant {fault}: measuring", len(rows), "clips"))
        return lambda row: seal(faults.make_noise(read(row), of, random_of(row)))
    if fault in ("frames_shuffled", "places_shuffled"):
        shuffle = faults.shuffle_frames if fault == "frames_shuffled" else faults.shuffle_places

        def shuffled(row: Any) -> bytes:
            try:
                return seal(shuffle(read(row), random_of(row)))
            except ValueError as error:
                raise UserError(
                    f"{row.clip_id}: {error}; leave it out, or plant another fault"
                ) from None

        return shuffled
    change = {"camera_to_world": faults.invert_poses, "inverse_depth": faults.invert_depth}[fault]
    return lambda row: seal(change(read(row)))


def _random(fault: Fault, seed: int, clip_id: str) -> np.random.Generator:
    """Draws of a clip's own, so that neither order nor number of clips changes them."""
    return np.random.default_rng(int(digest([fault, seed, clip_id])[:32], 16))


def _write(
    output: Path,
    targets: TargetSet,
    config: dict[str, Any],
    inputs: dict[str, str],
    rows: list[dict[str, Any]],
) -> TargetSet:
    import pandas as pd

    manifest = targets.manifest
    directory = start_output(output)
    index = pd.DataFrame(rows).sort_values("clip_id")
    write_atomic(directory / "index.parquet", index.to_parquet(index=False))
    TargetSet.commit(
        directory,
        inputs=inputs,
        config=config,
        counts=manifest.counts,
        store=manifest.store,
        content=index.to_dict("records"),
        details=manifest.details | {"planted": config["plant"]["fault"]},
    )
    return TargetSet.load(output)
