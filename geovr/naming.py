"""Names in messages: the first of many, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence


def named(names: Sequence[str], most: int) -> str:
    """At most so many names, and the number of the others.

    Args:
        names: all of them.
        most: that are told.
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
