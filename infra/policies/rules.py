"""What a rule is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from infra.policies.manifests import Manifest

Found = tuple[Manifest, str, str]
"""A manifest, where in it (a path of keys), and what is wrong there."""
Finder = Callable[[Sequence[Manifest]], Iterator[Found]]


@dataclass(frozen=True)
class Finding:
    """A place where a rule is broken.

    Attributes:
        rule: its name.
        resource: kind, namespace and name of the manifest.
        where: path of keys in it.
        message: what is wrong.
        source: file that it came from.
    """

    rule: str
    resource: str
    where: str
    message: str
    source: str


@dataclass(frozen=True)
class Rule:
    """One promise about what a cluster gets."""

    name: str
    says: str
    find: Finder


RULES: dict[str, Rule] = {}


def rule(name: str, says: str) -> Callable[[Finder], Finder]:
    """Enter a function into the list of rules."""

    def enter(find: Finder) -> Finder:
        if name in RULES:
            raise ValueError(f"two rules are named {name}")
        RULES[name] = Rule(name, says, find)
        return find

    return enter


def check(manifests: Sequence[Manifest], without: Collection[str] = ()) -> list[Finding]:
    """All places where manifests that belong together break a rule.

    Args:
        manifests: all that is applied together, so that what they name can be found.
        without: names of rules that are left out.
    """
    return [
        Finding(one.name, manifest.told, where, message, manifest.source)
        for one in RULES.values()
        if one.name not in without
        for manifest, where, message in one.find(manifests)
    ]
