"""Who answers: the checkpoint in this process, or a server that has it."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from geovr.config import Config


class BackendConfig(Config):
    """Who answers the questions."""

    kind: Literal["local", "openai"] = Field(
        "local",
        description="local: the checkpoint, in this process; openai: a server with the"
        " chat-completions API (vLLM, SGLang) that serves the exported checkpoint.",
    )
    base_url: str | None = Field(
        None, description="Of the server, up to and with /v1 (kind openai)."
    )
    model: str | None = Field(None, description="What the server calls the model (kind openai).")
    api_key_env: str = Field(
        "OPENAI_API_KEY",
        description="Environment variable that holds the key; none is sent when it is not set.",
    )
    concurrency: int = Field(8, ge=1, description="Requests of a process at once.")
    timeout_s: float = Field(300.0, gt=0, description="Seconds that a request may take.")
    max_retries: int = Field(
        6, ge=0, description="Of a request that is refused for a while, fails or breaks off."
    )
    image_format: Literal["png", "jpeg"] = Field(
        "png", description="Of the frames that are sent; png loses nothing."
    )

    @field_validator("base_url")
    @classmethod
    def _plain(cls, url: str | None) -> str | None:
        # it is kept in manifests and told in messages
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must begin with http:// or https:// and name a host")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("must hold no user, password or query; a key comes by api_key_env")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _complete(self) -> BackendConfig:
        if self.kind == "openai" and (self.base_url is None or not self.model):
            raise ValueError("kind openai needs `base_url` and `model`")
        return self

    def identity(self) -> dict[str, Any]:
        """What decides an answer: not where the server is, nor how often it is asked at once."""
        if self.kind == "local":
            return {"kind": self.kind}
        return {"kind": self.kind, "model": self.model, "image_format": self.image_format}
