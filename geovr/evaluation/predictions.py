"""Raw answers of an evaluation in the store, one JSON object a line."""

from __future__ import annotations

import json
from typing import Any

from geovr.storage import Store


def predictions_key(key: str) -> str:
    """Where the answers of an evaluation lie."""
    return f"evaluation/{key}/predictions.jsonl"


def read_predictions(store: Store, key: str, sha256: str | None = None) -> list[dict[str, Any]]:
    """The raw answers of an evaluation, verified when their digest is given."""
    text = store.get(predictions_key(key), sha256).decode()
    return [json.loads(line) for line in text.splitlines()]
