"""Model versions and their aliases, on MLflow's registry through geovr/tracking.py.

MLflow's own registration is not idempotent; here a version is found again by the digest of its
checkpoint, so that a step that is tried again makes no second one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from geovr.errors import UserError
from geovr.storage import Store
from geovr.tracking import client

CHECKPOINT_TAG = "geovr.checkpoint"
LEASE_TAG = "geovr.lease_store"
"""Of the registered model: where all its promotions take their lease."""
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
_REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<number>\d+))")


@dataclass(frozen=True)
class Version:
    """A registered version."""

    name: str
    number: int
    tags: dict[str, str]
    source: str


class ModelRegistry:
    """The versions of one registered model."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._mlflow: Any = client()

    def ensure_version(
        self, checkpoint_digest: str, source: str, run_id: str, tags: dict[str, str]
    ) -> Version:
        """The version of a checkpoint, made when there is none; its tags are set either way."""
        self._ensure_model()
        number = None
        for found in self._mlflow.search_model_versions(f"name = '{self.name}'"):
            if found.tags.get(CHECKPOINT_TAG) == checkpoint_digest:
                number = int(found.version)
        tags = {CHECKPOINT_TAG: checkpoint_digest, **tags}
        if number is None:
            made = self._mlflow.create_model_version(self.name, source, run_id=run_id, tags=tags)
            number = int(made.version)
        for key, value in tags.items():
            self._mlflow.set_model_version_tag(self.name, str(number), key, value)
        return self.version(number)

    def _ensure_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._mlflow.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def lease_store(self, default: str) -> Store:
        """Where promotions of this model take turns: the first store that one was made from."""
        told = self._mlflow.get_registered_model(self.name).tags.get(LEASE_TAG)
        if told is None:
            self._mlflow.set_registered_model_tag(self.name, LEASE_TAG, default)
            told = self._mlflow.get_registered_model(self.name).tags[LEASE_TAG]
        return Store.open(str(told))

    def version(self, number: int) -> Version:
        """A version by its number."""
        found = self._mlflow.get_model_version(self.name, str(number))
        return Version(self.name, int(found.version), dict(found.tags), str(found.source))

    def by_number(self, number: int) -> Version | None:
        """A version by its number, None when there is none."""
        from mlflow.exceptions import MlflowException

        try:
            return self.version(number)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def by_alias(self, alias: str) -> Version | None:
        """The version an alias names, None when it names none.

        MLflow reports a missing alias as INVALID_PARAMETER_VALUE; every other error, a server
        that can't be reached above all, must not look like an empty registry.
        """
        from mlflow.exceptions import MlflowException

        try:
            found = self._mlflow.get_model_version_by_alias(self.name, alias)
        except MlflowException as error:
            if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
                return None
            raise
        return Version(self.name, int(found.version), dict(found.tags), str(found.source))

    def set_alias(self, alias: str, number: int) -> None:
        """Let an alias name a version."""
        self._mlflow.set_registered_model_alias(self.name, alias, str(number))

    def set_tags(self, number: int, tags: dict[str, str]) -> None:
        """Tag a version."""
        for key, value in tags.items():
            self._mlflow.set_model_version_tag(self.name, str(number), key, value)

    def describe(self, number: int, text: str) -> None:
        """Set what a version's page says about it, unless it says that already."""
        found = self._mlflow.get_model_version(self.name, str(number))
        if found.description != text:
            self._mlflow.update_model_version(self.name, str(number), text)

    def make_champion(self, number: int, reason: str, over: int | None) -> None:
        """Move the champion alias; done again it changes nothing.

        Args:
            number: of the version that becomes champion.
            reason: for its tags.
            over: number of the one before, which becomes `previous`, for going back.
        """
        if over is not None:
            self.set_alias(PREVIOUS, over)
        self.set_alias(CHAMPION, number)
        told = "none" if over is None else str(over)
        self.set_tags(number, {"geovr.promoted_over": told, "geovr.promotion_reason": reason})


def find_version(reference: str) -> Version:
    """The version that models:/NAME@ALIAS or models:/NAME/VERSION names.

    Raises:
        UserError: when it names none.
    """
    named = _REGISTERED.fullmatch(reference)
    if named is None:
        raise UserError(
            f"{reference}: a registered model reads models:/NAME@ALIAS or models:/NAME/VERSION"
        )
    registry = ModelRegistry(named["name"])
    version = (
        registry.by_alias(named["alias"])
        if named["alias"]
        else registry.by_number(int(named["number"]))
    )
    if version is None:
        raise UserError(f"{reference}: there is no such version; `geovr promote` sets aliases")
    return version
