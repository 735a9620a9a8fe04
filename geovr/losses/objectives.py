"""Which losses are on; free of torch, so that configs are read quickly."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from geovr.config import Config

TERMS = ("text", "camera", "depth", "scale", "features")


class Objectives(Config):
    """Which geometric losses are on, and how heavy. The weights are those of the paper's run."""

    camera: bool = Field(True, description="Camera pose of each frame.")
    depth: bool = Field(True, description="Dense depth of each frame.")
    scale: bool = Field(True, description="One metric scale a clip.")
    features: bool = Field(True, description="Teacher features of four levels.")
    camera_weight: float = Field(2.5, ge=0)
    depth_weight: float = Field(1.0, ge=0)
    scale_weight: float = Field(1.0, ge=0)
    features_weight: float = Field(1.0, ge=0)
    depth_loss: Literal["l1", "silog"] = Field(
        "l1", description="Trimmed L1 and gradients, or scale-invariant log error."
    )
    same_rotation: bool = Field(
        False, description="Take q and -q as one rotation (targets always have q_w >= 0)."
    )

    @property
    def tokens(self) -> bool:
        """Whether camera and scale tokens are needed."""
        return self.camera or self.scale

    @property
    def any(self) -> bool:
        """Whether there is any geometric loss."""
        return self.camera or self.depth or self.scale or self.features

    def weight(self, term: str) -> float:
        """Weight of a term; the text's is one."""
        if term == "text":
            return 1.0
        value: float = getattr(self, f"{term}_weight")
        return value if getattr(self, term) else 0.0
