"""Docker's rules in the machine's firewall, which dockerd leaves behind when it ends."""

from __future__ import annotations

import shlex
import shutil
import subprocess

_TABLES = ("filter", "nat")
_OURS = "DOCKER"


def present() -> bool:
    """Whether there are any: another engine's, then."""
    return any(f"-N {_OURS}" in rule for table in _TABLES for rule in _rules(table))


def remove() -> None:
    """Remove Docker's chains, and what leads to them; other rules stay."""
    for table in _TABLES:
        rules = _rules(table)
        chains = [rule.split()[1] for rule in rules if rule.startswith(f"-N {_OURS}")]
        for rule in rules:
            words = shlex.split(rule)
            if words[0] == "-A" and words[1] not in chains and words[-1] in chains:
                _iptables(table, "-D", *words[1:])
        for action in ("-F", "-X"):
            for chain in chains:
                _iptables(table, action, chain)


def _rules(table: str) -> list[str]:
    return _iptables(table, "-S").splitlines() if shutil.which("iptables") else []


def _iptables(table: str, *arguments: str) -> str:
    return subprocess.run(
        ["iptables", "--wait", "-t", table, *arguments], capture_output=True, text=True, check=True
    ).stdout
