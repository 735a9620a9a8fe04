"""A protocol: all that decides what a model is asked and shown, under one name and one digest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal
from typing import Protocol as TypingProtocol

from pydantic import Field, model_validator

from geovr.config import Config, digest
from geovr.data.frame_places import BY_RATE, PlacesName
from geovr.data.sampling import SamplerConfig
from geovr.errors import UserError
from geovr.evaluation.benchmarks.item import split_option

_PLACEHOLDER = re.compile(r"\{(question|options|letters|fps)\}")


class Asked(TypingProtocol):
    """What is rendered: a BenchmarkItem, or a row of a ClipSet's questions."""

    @property
    def kind(self) -> str:
        """What is asked."""
        ...

    @property
    def question(self) -> str:
        """The wording."""
        ...

    @property
    def options(self) -> Sequence[str] | None:
        """Lettered, None for a number."""
        ...


class Prompts(Config):
    """Wordings, with {question}, {options} (a line each), {letters} ("A, B, C") and {fps}."""

    number: str = Field("{question}", description="Of a question without options.")
    choice: str = Field("{question}\n{options}", description="Of a question with options.")
    by_kind: dict[str, str] = Field({}, description="Of some kinds, instead of those two.")
    option: str = Field(
        "{option}", description="One option: {option} as published, or of {letter} and {text}."
    )


class Generation(Config):
    """How an answer is generated."""

    max_new_tokens: int = Field(16, gt=0, description="At most.")
    do_sample: bool = Field(False, description="False: greedy.")
    temperature: float | None = Field(None, description="When sampling.")
    top_p: float | None = Field(None, description="When sampling.")
    top_k: int | None = Field(None, description="When sampling.")
    repetition_penalty: float | None = Field(None, description="null: none.")


class Protocol(Config):
    """How a benchmark is asked."""

    name: str = Field(..., description="benchmark/whose.")
    benchmark: str = Field(..., description="Its name in the table; its subsets are asked alike.")
    frames: int | None = Field(None, gt=0, description="Of a video; null for images.")
    fps: float | None = Field(None, gt=0, description="Frames a second, of samplers by rate.")
    sampler: PlacesName | Literal["none"] = Field("none", description="How frames are chosen.")
    prompts: Prompts = Prompts()
    generation: Generation = Generation()
    media: Literal["before", "after"] = Field(
        "before", description="Where frames and images stand, as seen from the text."
    )
    min_pixels: int | None = Field(None, description="Of all frames; null: the processor's own.")
    max_pixels: int | None = Field(None, description="Of all frames; null: the processor's own.")
    source: str = Field("", description="Where its facts were read; not part of the digest.")

    @model_validator(mode="after")
    def _complete(self) -> Protocol:
        by_rate = self.sampler in BY_RATE
        if self.sampler == "none" and (self.frames or self.fps):
            raise ValueError("frames need a sampler")
        if self.sampler != "none" and (self.fps if by_rate else self.frames) is None:
            raise ValueError(f"sampler {self.sampler} needs {'fps' if by_rate else 'frames'}")
        return self

    @property
    def digest(self) -> str:
        """sha256 of all that changes what a model is asked, shown, or lets it answer."""
        return digest(self.model_dump(mode="json", exclude={"source", "name"}))

    @property
    def sampling(self) -> SamplerConfig | None:
        """How ingest samples videos for it; None where it shows images."""
        if self.sampler == "none":
            return None
        wanted = {"fps": self.fps} if self.sampler in BY_RATE else {"num_frames": self.frames}
        return SamplerConfig.model_validate({"kind": self.sampler, **wanted})

    def render(self, item: Asked, sample_fps: float | None = None) -> str:
        """The text that goes with the media.

        Args:
            item: the question.
            sample_fps: frames a second that are shown, where the wording tells it.

        Raises:
            UserError: when the wording tells the rate and none is given.
        """
        options = list(item.options) if item.options is not None else []
        template = self.prompts.by_kind.get(
            item.kind, self.prompts.choice if options else self.prompts.number
        )
        if "{fps}" in template and sample_fps is None:
            raise UserError(f"{self.name}: its prompt tells the sampled rate, so it needs one")
        values = {
            "question": item.question,
            "options": "\n".join(map(self._option, options)),
            "letters": ", ".join(chr(65 + number) for number in range(len(options))),
            "fps": f"{sample_fps or 0:.2f}",
        }
        # in one pass: a question may hold braces itself
        return _PLACEHOLDER.sub(lambda found: values[found[1]], template)

    def _option(self, option: str) -> str:
        letter, text = split_option(option)
        values = {"{option}": option, "{letter}": letter, "{text}": text}
        return re.sub(r"\{\w+\}", lambda found: values[found[0]], self.prompts.option)
