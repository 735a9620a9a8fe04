"""The base of every config, and how a stage's config is read from params.yaml or JSON."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geovr.errors import UserError

C = TypeVar("C", bound="Config")

SHARED_KEYS = ("store", "experiment")
"""Top-level keys of params.yaml that every stage's section inherits."""
_MOST_BYTES = 1 << 20
_MOST_VALUES = 100_000
"""Of a params file, which has some hundred."""


class Config(BaseModel):
    """A frozen config that refuses keys it doesn't know."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class StageConfig(Config):
    """What every stage's config has."""

    store: str = Field(
        ".geovr/store", description="Directory or s3:// URI where objects and checkpoints are kept."
    )
    experiment: str = Field("geovr", description="MLflow experiment that runs are logged to.")


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """sha256 of a JSON-able value, for keys that hash all that decides a content."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def validate(cls: type[C], values: dict[str, Any], *, source: str) -> C:
    """Build a config, turning every fault into one message that names its source and key.

    Raises:
        UserError: naming each bad key, and for an unknown key the nearest known one.
    """
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        lines = []
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"]) or "(whole section)"
            hint = ""
            if fault["type"] == "extra_forbidden":
                near = difflib.get_close_matches(str(fault["loc"][-1]), _known_keys(cls), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else "; remove it"
                lines.append(f"  {key}: unknown key{hint}")
            else:
                lines.append(f"  {key}: {fault['msg']}")
        raise UserError(f"{source}: invalid {cls.__name__}:\n" + "\n".join(lines)) from None


def _known_keys(cls: type[BaseModel]) -> list[str]:
    names: list[str] = []
    for name, field in cls.model_fields.items():
        names.append(name)
        for part in _classes(field.annotation):
            names.extend(_known_keys(part))
    return names


def _classes(annotation: Any) -> list[type[BaseModel]]:
    """The configs within an annotation such as `Window | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for part in get_args(annotation) for one in _classes(part)]


def read_params(path: Path, what: str = "params file", option: str = "--params") -> dict[str, Any]:
    """Read a params file (YAML), or another of its kind.

    Args:
        path: of the file.
        what: it is, for messages.
        option: that names it on the command line.

    Raises:
        UserError: when it is missing, unreadable, too large, not YAML or not a mapping.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path}: larger than a {what} can be ({_MOST_BYTES} bytes)")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such {what}; give one with {option}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a UTF-8 text; {option} takes a YAML file") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}; check {option}") from None
    values = _parsed(text, str(path))
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UserError(f"{path}: expected a mapping of sections at the top level of a {what}")
    return values


def _parsed(text: str, source: str) -> Any:
    """The value of a YAML text, of kinds that JSON has too, and of bounded size.

    Raises:
        UserError: naming the source.
    """
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{source}: not valid YAML: {error}") from None
    # what stands behind an anchor counts each time it is referred to: written out, a few lines of
    # anchors can be more than any memory holds, and one that refers to itself has no end
    left, seen = [value], 0
    while left:
        one = left.pop()
        seen += 1
        if seen > _MOST_VALUES:
            raise UserError(f"{source}: holds more than {_MOST_VALUES} values; use fewer anchors")
        if isinstance(one, dict):
            left += [*one, *one.values()]
        elif isinstance(one, list):
            left += one
        elif not (one is None or isinstance(one, str | bool | int)) and not (
            isinstance(one, float) and math.isfinite(one)
        ):
            raise UserError(f"{source}: {one!r} is no value of a params file; quote it as a text")
    return value


def stage_values(params: dict[str, Any], section: str) -> dict[str, Any]:
    """One stage's section with the shared top-level keys merged in.

    Raises:
        UserError: when the section is no mapping.
    """
    shared = {key: params[key] for key in SHARED_KEYS if key in params}
    own = params.get(section) or {}
    if not isinstance(own, dict):
        raise UserError(f"section {section}: expected a mapping of keys to values, found {own!r}")
    return shared | own


def apply_overrides(values: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Apply `a.b=value` overrides, where the value is read as YAML.

    Raises:
        UserError: for an override without `=`, of a key below a value, or with a broken value.
    """
    return apply_values(values, parse_overrides(overrides), "--set")


def parse_overrides(overrides: list[str]) -> dict[str, Any]:
    """Dotted keys and values of `a.b=value` overrides.

    Raises:
        UserError: for one without `=`, or with a broken value.
    """
    told: dict[str, Any] = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise UserError(f"--set {override}: write it as key=value, e.g. train.steps=100")
        told.pop(key, None)  # of two, the last one counts
        told[key] = _parsed(text, f"--set {key}")
    return told


def apply_values(values: dict[str, Any], changes: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A copy of nested values in which some dotted keys have other ones.

    Args:
        values: of a params file.
        changes: dotted key -> value.
        source: of the changes, for messages.

    Raises:
        UserError: for a key below a value.
    """
    result: dict[str, Any] = json.loads(json.dumps(values))
    for key, value in changes.items():
        *parents, leaf = key.split(".")
        node = result
        for parent in parents:
            if node.get(parent) is None:
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):
                raise UserError(f"{source} {key}: {parent} is a value, so has no keys")
        node[leaf] = value
    return result
