"""Where data comes from, and how clips are sampled."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator, model_validator

from geovr.config import Config, StageConfig, digest
from geovr.data.questions import QuestionSource
from geovr.data.sampling import SamplerConfig
from geovr.data.video import LimitsConfig
from geovr.errors import UserError
from geovr.ingesting.window import WindowConfig, scheduled_time


class DvcSource(Config):
    """A path of a DVC repository at a revision."""

    repo: str = Field(..., description="Directory or git URL of the repository.")
    rev: str | None = Field(None, description="Branch, tag or commit; the newest when not given.")
    path: str = Field(..., description="A tracked directory that holds videos and questions.")

    @field_validator("repo")
    @classmethod
    def _no_secret(cls, repo: str) -> str:
        # it is kept in manifests and told in messages
        if re.match(r"https?://[^/@]*@|\w+://[^/@:]*:[^/@]*@", repo):
            raise ValueError("holds a password or token; leave it to git's credential helper")
        return repo


class BenchmarkSource(Config):
    """A published benchmark, in a directory that `geovr benchmark verify` accepts."""

    name: str = Field(..., description="As `geovr benchmark list` shows it.")
    path: str = Field(..., description="Local directory that holds it.")


class IngestConfig(StageConfig):
    """Where data comes from, and how clips are sampled. Give one of videos, clips, benchmark."""

    videos: str | None = Field(
        None, description="Folder, .txt list of paths, or s3:// prefix; with dvc, relative to it."
    )
    questions: tuple[QuestionSource, ...] = Field((), description="Question files.")
    dvc: DvcSource | None = Field(None, description="Fetch the data from DVC first.")
    clips: str | None = Field(None, description="A ClipSet that exists: verified and passed on.")
    benchmark: BenchmarkSource | None = Field(
        None, description="A published benchmark: its questions, and the media they are about."
    )
    window: WindowConfig | None = Field(
        None, description="Paths may name its {start:%Y-%m-%d} and {end:%Y-%m-%d}, in UTC."
    )
    scheduled: str | None = Field(
        None, description="Time that the window comes from; a schedule gives its own."
    )
    sampler: SamplerConfig = SamplerConfig()
    protocol: str | None = Field(
        None,
        description="Sample videos as this protocol of the benchmark does, such as"
        " vsi-bench/official (docs/benchmarks.md); it stands above `sampler`.",
    )
    limits: LimitsConfig = LimitsConfig()
    workers: int | None = Field(
        None, gt=0, description="Decoding processes; one a core where it runs if not given."
    )

    @field_validator("scheduled")
    @classmethod
    def _a_time(cls, scheduled: str | None) -> str | None:
        if scheduled is None:
            return None
        try:
            return scheduled_time(scheduled).isoformat().replace("+00:00", "Z")
        except UserError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="before")
    @classmethod
    def _sampler_of_the_protocol(cls, values: Any) -> Any:
        # `sampler` then says what holds, in keys, manifests and messages
        if not isinstance(values, dict) or not isinstance(values.get("protocol"), str):
            return values
        from geovr.evaluation.protocols import protocol_named

        try:
            sampler = protocol_named(values["protocol"]).sampling
        except UserError as error:
            raise ValueError(str(error)) from None
        return values | ({} if sampler is None else {"sampler": sampler.model_dump()})

    @model_validator(mode="after")
    def _one_source(self) -> IngestConfig:
        if sum(one is not None for one in (self.videos, self.clips, self.benchmark)) != 1:
            raise ValueError("give one of `videos` (with or without `dvc`), `clips`, `benchmark`")
        if self.benchmark is not None and (self.questions or self.dvc is not None):
            raise ValueError("a benchmark brings its own questions, and is no path of `dvc`")
        if self.protocol is not None:
            from geovr.evaluation.protocols import protocols_of

            if self.benchmark is None:
                raise ValueError("`protocol` says how a `benchmark` is sampled, so give that too")
            known = protocols_of(self.benchmark.name)
            if known and self.protocol not in known:
                raise ValueError(
                    f"{self.protocol} is no protocol of {self.benchmark.name}; its own are"
                    f" {', '.join(known)}"
                )
        return self


def sampler_key(config: IngestConfig) -> str:
    """Hash of all that decides a clip's content but the video."""
    from geovr.data.clips import CODE_VERSION

    return digest(
        {
            "sampler": config.sampler.identity(),
            "max_side": config.limits.max_side,
            "code": CODE_VERSION,
        }
    )[:16]
