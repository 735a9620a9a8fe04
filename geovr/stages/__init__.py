"""The flow: seven stages, in order. Every door reads this table; a test holds them to it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geovr.config import StageConfig


@dataclass(frozen=True)
class Stage:
    """One stage: the function `geovr.stages.<name>.<name>` and the artifacts it exchanges."""

    name: str
    inputs: tuple[str, ...]
    """Artifacts it reads, by name; these are its keyword arguments too."""
    output: str
    """The artifact it writes."""
    config: str
    """Name of its config class, beside the function."""
    after: tuple[str, ...] = ()
    """Gates that must have passed first, though nothing of them is read."""
    launchable: bool = False
    """Whether it can run on several processes through TorchX."""

    def _module(self) -> Any:
        return importlib.import_module(f"geovr.stages.{self.name}")

    def function(self) -> Callable[..., Any]:
        """The stage's function; importing it is left until it is needed."""
        function: Callable[..., Any] = getattr(self._module(), self.name)
        return function

    def config_class(self) -> type[StageConfig]:
        """The stage's config class."""
        cls: type[StageConfig] = getattr(self._module(), self.config)
        return cls


STAGES = (
    Stage("ingest", (), "clips", "IngestConfig"),
    Stage("check_clips", ("clips",), "clips_report", "CheckClipsConfig"),
    Stage(
        "extract_targets",
        ("clips",),
        "targets",
        "ExtractTargetsConfig",
        after=("check_clips",),
        launchable=True,
    ),
    Stage("check_targets", ("clips", "targets"), "targets_report", "CheckTargetsConfig"),
    Stage(
        "train",
        ("clips", "targets"),
        "checkpoint",
        "TrainConfig",
        after=("check_targets",),
        launchable=True,
    ),
    Stage("evaluate", ("clips", "checkpoint"), "evaluation", "EvaluateConfig", launchable=True),
    Stage("register", ("checkpoint", "evaluation"), "model_version", "RegisterConfig"),
)

BY_NAME = {stage.name: stage for stage in STAGES}
