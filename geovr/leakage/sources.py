"""Which benchmarks a training set is held against, as a config names them."""

from __future__ import annotations

from pydantic import Field, model_validator

from geovr.config import Config
from geovr.leakage.holdings import Holdings, open_side


class BenchmarkSource(Config):
    """A benchmark: its directory, or the ClipSet that ingest made of it."""

    clips: str | None = Field(
        None, description="Directory or s3:// URI of its ClipSet: scenes, bytes and looks."
    )
    path: str | None = Field(
        None, description="Directory as published: scenes, and the bytes of what is there."
    )
    name: str | None = Field(
        None,
        description="As `geovr benchmark list` shows it; with `path`, where no fetch recorded it.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> BenchmarkSource:
        if (self.clips is None) == (self.path is None):
            raise ValueError("give `clips` or `path`")
        return self

    def open(self) -> Holdings:
        """What it holds.

        Raises:
            UserError: when it can't be read.
        """
        if self.clips is not None:
            return open_side(self.clips, "test", title=self.name)
        return open_side(str(self.path), "test", self.name)
