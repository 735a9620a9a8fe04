"""Secrets: by name alone. A value is told by its variable's name, by how it begins, or by its look.

Names: a variable, argument, annotation or key of a ConfigMap that is called password, token,
secret, access key or the like and has a value of its own. Beginnings: keys of AWS, GitHub, GitLab,
Hugging Face, Slack, Google and OpenAI, private keys, signed web tokens, URIs with a password. Look:
24 or more characters of base64 that change between small, large, digits and signs as often as
random ones, which words, paths and digests in hexadecimal don't.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from infra.policies.manifests import Manifest, part
from infra.policies.rules import Found, rule

NAME = re.compile(
    r"SECRET|TOKEN(?!IZ)|PASSWORD|PASSWD|CREDENTIAL|API[_-]?KEY|ACCESS[_-]?KEY|PRIVATE[_-]?KEY"
    r"|HMAC[_-]?KEY",
    re.IGNORECASE,
)
BEGINNINGS = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}"
    r"|\bglpat-[\w-]{16,}|\bhf_[A-Za-z0-9]{20,}|\bxox[abprs]-[\w-]{10,}|\bAIza[\w-]{30,}"
    r"|\bsk-[A-Za-z0-9_-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\."
    r"|[a-z][a-z0-9+.-]*://[^\s:/@]+:[^\s:/@$({]+@"
)
_RANDOM = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
_RANDOM_BITS, _RANDOM_TURNS, _RANDOM_LONGEST = 3.5, 0.4, 12
_FLAG = re.compile(r"^--?([A-Za-z][\w-]*)(?:=(.*))?$", re.DOTALL)
_REFERENCE = re.compile(r"^(?:\$\(|\$\{|\{\{|/)")
"""A value that says where the secret is: another variable, a template, a file."""


def _walk(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Place and value of everything in a manifest."""
    yield where, value
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _walk(one, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _walk(one, f"{where}.{number}".lstrip("."))


def _named(name: str, value: Any) -> bool:
    """Whether a name says that its value is secret, and the value is no reference."""
    own = isinstance(value, str) and value != "" and not _REFERENCE.match(value)
    return own and NAME.search(name) is not None


def looks_random(text: str) -> bool:
    """Whether a word in a text looks like a generated key."""
    return any(_random(word) for word in _RANDOM.findall(text))


def _random(word: str) -> bool:
    shares = [count / len(word) for count in Counter(word).values()]
    bits = -sum(share * math.log2(share) for share in shares)
    kinds = [
        "small" if c.islower() else "large" if c.isupper() else "digit" if c.isdigit() else "sign"
        for c in word
    ]
    turns = sum(one != other for one, other in pairwise(kinds)) / (len(word) - 1)
    mixed = {"small", "large", "digit"} <= set(kinds)
    # the name of a model or a file is short words and numbers between signs
    longest = max(map(len, re.split(r"[-_/+=]", word)))
    return mixed and longest >= _RANDOM_LONGEST and bits >= _RANDOM_BITS and turns >= _RANDOM_TURNS


def _arguments(words: list[Any]) -> Iterator[str]:
    """Flags of a command whose value is secret by their name."""
    for word, following in pairwise([*words, ""]):
        flag = _FLAG.match(str(word))
        if flag is not None:
            value = flag.group(2) if flag.group(2) is not None else str(following)
            if _named(flag.group(1), value) and not value.startswith("-"):
                yield flag.group(1)


def _literals(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for document in (manifest.body, manifest.platform or {}):
        for where, value in _walk(document):
            key = where.rpartition(".")[2]
            if isinstance(value, str):
                if BEGINNINGS.search(value):
                    yield where, "begins like a key, or holds a password"
                elif looks_random(value):
                    yield where, "looks like a generated key"
            elif isinstance(value, dict):
                if isinstance(value.get("name"), str) and _named(value["name"], value.get("value")):
                    yield where, f"{value['name']} has a value; name a secret (secretKeyRef)"
                if key in ("annotations", "labels") or (
                    where == "data" and manifest.kind == "ConfigMap"
                ):
                    for name, one in value.items():
                        if _named(name.rpartition("/")[2], one):
                            yield f"{where}.{name}", "has a value; secrets are named, not written"
            elif isinstance(value, list) and key in ("args", "command"):
                for flag in _arguments(value):
                    yield where, f"--{flag} has a value; every user of the node can read it"


@rule("secret-literal", "no secret is written out: by name, by beginning, or by look")
def secret_literal(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        if manifest.kind == "Secret":
            continue
        for where, message in _literals(manifest):
            yield manifest, where, message
        if manifest.kind == "ExternalSecret":
            for name, value in part(manifest.body, "spec", "target", "template", "data").items():
                if "{{" not in str(value):
                    yield manifest, f"spec.target.template.data.{name}", "has a value of its own"


@rule("secret-object", "no Secret is applied from files: they are made elsewhere")
def secret_object(manifests: Sequence[Manifest]) -> Iterator[Found]:  # noqa: D103
    for manifest in manifests:
        if manifest.kind == "Secret" and manifest.group == "":
            yield manifest, "kind", "a Secret in a file; use an ExternalSecret"
