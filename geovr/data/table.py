"""Rows of a table, read one at a time from columns.

As Python objects the paper's 590,000 questions take seconds and gigabytes to make and to send to
another process; as columns a few buffers.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class Rows:
    """Rows of a data frame by their place, each an object with the columns as attributes.

    Args:
        frame: the data frame.
        columns: those that are kept; all when not given.
    """

    def __init__(self, frame: pd.DataFrame, columns: Sequence[str] | None = None) -> None:
        import pyarrow as pa

        kept = frame if columns is None else frame[list(columns)]
        # chunks that share a buffer would each carry all of it to another process
        self._table = pa.Table.from_pandas(kept, preserve_index=False).combine_chunks()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, place: int) -> Any:
        if not 0 <= place < len(self):
            raise IndexError(f"there is no row {place} of {len(self)}")
        (row,) = self._table.slice(place, 1).to_pylist()
        return SimpleNamespace(**row)

    def column(self, name: str) -> list[Any]:
        """All values of a column."""
        values: list[Any] = self._table.column(name).to_pylist()
        return values


class RowsByClip:
    """Rows of a data frame by their clip_id; as `Rows`."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._rows = Rows(frame)
        self._places = {
            clip_id: place for place, clip_id in enumerate(self._rows.column("clip_id"))
        }

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._places

    def __getitem__(self, clip_id: str) -> Any:
        return self._rows[self._places[clip_id]]
