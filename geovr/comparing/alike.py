"""Whether two sides answered the same questions, asked alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from geovr.comparing.sources import Side
from geovr.errors import UserError
from geovr.naming import named
from geovr.storage import sha256_bytes

_NAMED = 5
"""Ids in a message."""


def same_questions(a: Side, b: Side, common: bool) -> tuple[Side, Side, list[str]]:
    """Both sides on the questions that they share, and what was left out.

    Raises:
        UserError: naming ids, when the questions differ and `common` is false, or none is shared.
    """
    for side in (a, b):
        twice = [i for i, n in Counter(str(row["id"]) for row in side.rows).items() if n > 1]
        if twice:
            raise UserError(
                f"{side.name}: {len(twice)} questions were answered twice: {named(twice, _NAMED)};"
                " remove one answer to each"
            )
    ours = {str(row["id"]): row for row in a.rows}
    theirs = {str(row["id"]): row for row in b.rows}
    both = [name for name in ours if name in theirs]
    apart = {name: field for name in both if (field := _differs(ours[name], theirs[name]))}
    only_a = [name for name in ours if name not in theirs]
    only_b = [name for name in theirs if name not in ours]
    kept = [name for name in both if name not in apart]
    told = []
    if only_a:
        told.append(f"{len(only_a)} were answered by {a.name} only: {named(only_a, _NAMED)}")
    if only_b:
        told.append(f"{len(only_b)} were answered by {b.name} only: {named(only_b, _NAMED)}")
    if apart:
        shown = [f"{name} ({field})" for name, field in apart.items()]
        told.append(f"{len(apart)} ids name different questions: {named(shown, _NAMED)}")
    digests = {side.benchmark_digest for side in (a, b)} - {None}
    if not told and len(digests) > 1:
        told.append(
            "the digests of their benchmarks differ"
            f" ({', '.join(sorted(str(one)[:12] for one in digests))}), though the answers on file"
            " show no difference"
        )
    if not told:
        return a, b, []
    found = "; ".join(told)
    if not kept:
        raise UserError(f"{a.name} and {b.name} have no question in common: {found}")
    if not common:
        raise UserError(
            f"{a.name} and {b.name} did not answer the same questions: {found}; --common compares"
            f" the {len(kept)} that are common"
        )
    note = f"compared on the {len(kept)} questions that are common; {found}"
    return (
        replace(a, rows=[ours[name] for name in kept]),
        replace(b, rows=[theirs[name] for name in kept]),
        [note],
    )


def _differs(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The first field in which two questions of one id differ; what one doesn't tell doesn't."""
    if "options" in one and "options" in other:
        shown = [list(row["options"] or []) for row in (one, other)]
        if shown[0] != shown[1]:
            return "options"
    for field in ("kind", "answer", "video_sha256", "scene"):
        mine, yours = one.get(field) or None, other.get(field) or None
        if mine is not None and yours is not None and mine != yours:
            return field
    said = {_wording(one), _wording(other)} - {None}
    return "question" if len(said) > 1 else None


def _wording(row: Mapping[str, Any]) -> str | None:
    """Digest of the question's text."""
    if row.get("question_sha256"):
        return str(row["question_sha256"])
    return sha256_bytes(str(row["question"]).encode()) if row.get("question") else None


def same_protocol(a: Side, b: Side, common: bool) -> list[str]:
    """What is to be said about how the two were asked.

    Raises:
        UserError: when the protocols differ and `common` is false.
    """
    names = [side.protocol or "an unknown one" for side in (a, b)]
    told = f"{a.name} was asked by protocol {names[0]}, {b.name} by {names[1]}"
    if a.protocol is None or b.protocol is None:
        return [] if a.protocol == b.protocol else [f"{told}, so they may differ in that"]
    if a.protocol_digest == b.protocol_digest and (a.protocol_digest or names[0] == names[1]):
        return []
    if names[0] == names[1]:
        told += ", and the contents of that name differ"
    if not common:
        raise UserError(
            f"{told}: a difference could be the protocol's; evaluate both by one, or add --common"
            " to compare them nevertheless"
        )
    return [f"{told}: the difference may be the protocol's"]
