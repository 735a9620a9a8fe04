"""What a new champion must show."""

from __future__ import annotations

from pydantic import Field

from geovr.config import Config


class PromotionPolicy(Config):
    """Rules of `register` and `geovr promote`; scores are shares of 1."""

    min_gain: float = Field(
        0.0, ge=0, description="The gain's 95 % interval must lie above this (share of 1)."
    )
    min_scenes: int = Field(
        6,
        ge=2,
        description="A comparison needs answers about so many scenes; of fewer than 6 no sign-flip"
        " test can tell a difference from chance at 5 %.",
    )
    allow_leakage: bool = Field(
        False, description="Also where clips that were trained on are among those tested on."
    )
    allow_unknown_leakage: bool = Field(
        True, description="Also where the record of the clips is gone, so that it can't be told."
    )
    floors: dict[str, float] = Field(
        {},
        description="Kind, or `mean`, to the least score it must have, also of a first version.",
    )
    max_regression: float | None = Field(
        0.05,
        ge=0,
        description="No kind may be worse than the champion's by more than this, where the 95 %"
        " interval of the difference shows it to be worse; null: kinds are not looked at.",
    )
