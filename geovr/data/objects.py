"""Objects of the store: safetensors with their own digest in the header.

The index names an object's sha256 too, but a rerun meets objects before there is an index; the
seal tells it whether what lies in the store is whole.
"""

from __future__ import annotations

import hashlib
import json
import struct

import numpy as np


class BrokenObject(ValueError):
    """Bytes that are not a sealed object, or not all of it."""


def seal(tensors: dict[str, np.ndarray]) -> bytes:
    """Tensors to bytes; equal tensors give equal bytes."""
    from safetensors.numpy import save

    tidy = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    return bytes(save(tidy, metadata={"sha256": _digest(save(tidy))}))


def unseal(data: bytes) -> dict[str, np.ndarray]:
    """Bytes to tensors.

    Raises:
        BrokenObject: when they are not what was sealed.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        sealed = header["__metadata__"]["sha256"]
        tensors: dict[str, np.ndarray] = load(data)
    except (
        struct.error, ValueError, KeyError, TypeError, RecursionError, SafetensorError,
    ) as error:  # fmt: skip
        raise BrokenObject(f"not a sealed object: {error}") from None
    if _digest(data) != sealed:
        raise BrokenObject("the tensors are not those that were sealed")
    return tensors


def _digest(data: bytes) -> str:
    """sha256 over names, types, shapes and values, but not over the header's own metadata."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    hashed = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    hashed.update(data[8 + length :])
    return hashed.hexdigest()
