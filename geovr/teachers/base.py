"""What a teacher is: a frozen model that says where the camera was and how far surfaces are."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from geovr.data.clips import Clip
from geovr.data.targets import GeometryTargets


class TeacherCard(BaseModel):
    """Who a teacher is; it travels in manifests up to the model registry.

    `parts` are the cards of the teachers that one is made of, such as a metric one beside it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    license: str
    commercial_use: bool
    weights_digest: str
    parts: tuple[TeacherCard, ...] = ()


class TeacherError(RuntimeError):
    """A teacher failed at a clip, which the message names."""


class ClipName(Protocol):
    """Which clip it is, without its frames: a Clip, or a row of a ClipSet's index."""

    @property
    def clip_id(self) -> str: ...  # noqa: D102
    @property
    def scene(self) -> str: ...  # noqa: D102


class Teacher(Protocol):
    """One teacher. Equal clips give equal targets.

    Making one, and everything but `load` and calling it, needs no weights: a run that finds all
    targets in the store doesn't load them.
    """

    card: TeacherCard
    feature_dim: int
    clips_per_call: int
    """Most clips that one call takes; they have the same number of frames and the same size."""

    def key(self) -> dict[str, Any]:
        """All that decides what the teacher says, as JSON values, but the clip."""
        ...

    def clip_inputs_digest(self, clip: ClipName) -> str:
        """Digest of what it reads beside the clip's frames; empty when it reads nothing else."""
        ...

    def load(self) -> None:
        """Load the weights, before the first call.

        Raises:
            UserError: when they can't be had or don't fit.
        """
        ...

    def __call__(self, clips: list[Clip]) -> list[GeometryTargets]:
        """Targets of some clips, in their order."""
        ...
