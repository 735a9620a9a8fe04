"""A client of the chat-completions API, as vLLM and SGLang speak it.

What may pass by itself is tried again: too many requests (429), a server's failure (5xx), no answer
in time, no connection, an answer that breaks off. Everything else ends the run at once.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import logging
import os
import random
import ssl
import threading
import time
import urllib.error
import urllib.request
from typing import Any

from geovr.errors import Interrupted, UserError
from geovr.evaluation.backend import BackendConfig

log = logging.getLogger("geovr")

_MOST_BYTES = 16 << 20
_MOST_WAIT_S = 300.0
_PASSING = (408, 425, 429)
"""Besides 5xx."""


class _Again(Exception):
    """What may pass by itself: why, and how long the server wants to be left alone."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to whatever host it names."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class ChatClient:
    """Asks a server; safe to use from several threads.

    Args:
        config: kind openai.

    Raises:
        UserError: when the key can't be one.
    """

    def __init__(self, config: BackendConfig) -> None:
        self.config = config
        self.url = f"{config.base_url}/chat/completions"
        self._key = os.environ.get(config.api_key_env, "").strip()
        if not (self._key.isascii() and (not self._key or self._key.isprintable())):
            # http.client would tell it in its message
            raise UserError(f"{config.api_key_env}: holds what no key holds; set it again")
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._stop = threading.Event()

    def give_up(self) -> None:
        """End what waits to try again."""
        self._stop.set()

    def say(self, request: dict[str, Any], name: str) -> str:
        """The text of an answer.

        Args:
            request: as the API has it, without the model.
            name: of the question, for messages.

        Raises:
            UserError: when the server refuses the request for good.
            Interrupted: when it doesn't answer however often it is asked.
        """
        body = json.dumps({"model": self.config.model, **request}).encode()
        for tried in range(1, self.config.max_retries + 2):
            try:
                return self._once(body, name)
            except _Again as error:
                reason, wait_s = str(error), error.wait_s
            if tried > self.config.max_retries or self._stop.is_set():
                break
            # others were refused at the same moment: they had better not all come back in the next
            backoff = min(60.0, 0.5 * 2 ** (tried - 1)) * random.uniform(0.5, 1.0)
            wait_s = max(wait_s, backoff)
            log.warning("evaluate: question %s: %s; again in %.1f s", name, reason, wait_s)
            if self._stop.wait(wait_s):
                break
        raise Interrupted(
            f"evaluate: question {name}: {self.url} gave no answer in {tried} tries: {reason}; see"
            " to the server, and run evaluate again: it asks what is left"
        )

    def _once(self, body: bytes, name: str) -> str:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self.url, body, headers, method="POST")
        deadline = time.monotonic() + self.config.timeout_s
        try:
            with self._opener.open(request, timeout=self.config.timeout_s) as response:
                return _text(_read(response, deadline))
        except urllib.error.HTTPError as error:
            raise self._refusal(error, name) from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise UserError(
                    f"evaluate.backend.base_url: {self.url}: its certificate can't be verified:"
                    f" {error.reason.verify_message}"
                ) from None
            raise _Again(f"no connection: {error.reason}") from None
        except TimeoutError:
            raise _Again(f"no answer in {self.config.timeout_s:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise _Again(f"the answer broke off ({type(error).__name__})") from None

    def _refusal(self, error: urllib.error.HTTPError, name: str) -> Exception:
        try:
            told = error.read(400).decode("utf-8", "replace").strip()
        except (OSError, http.client.HTTPException):
            told = ""
        if self._key:
            told = told.replace(self._key, "***")
        reason = f"HTTP {error.code} {error.reason}{f': {told}' if told else ''}"
        if error.code in _PASSING or error.code >= 500:
            return _Again(reason, _wait_s(error.headers.get("Retry-After")))
        remedy = "correct evaluate.backend"
        if error.code in (401, 403):
            remedy = f"set the right key in the environment variable {self.config.api_key_env}"
        return UserError(f"evaluate: question {name}: {self.url}: {reason}; {remedy}")


def _read(response: Any, deadline: float) -> bytes:
    """All of an answer, by the deadline: a timeout of a socket begins anew with every byte."""
    parts, size = [], 0
    while part := response.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if time.monotonic() > deadline:
            raise TimeoutError
        if size > _MOST_BYTES:
            raise _Again(f"an answer of more than {_MOST_BYTES} bytes")
    if response.length:  # `read1` doesn't tell that less came than was announced
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(parts)


def _text(data: bytes) -> str:
    """What the model said; an answer of another form counts as one that broke off."""
    try:
        content = json.loads(data)["choices"][0]["message"].get("content")
        if isinstance(content, list):
            content = "".join(str(part.get("text", "")) for part in content)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise _Again(f"no chat completion but {data[:80]!r}") from None
    return "" if content is None else str(content)


def _wait_s(told: str | None) -> float:
    """Seconds that a Retry-After header asks for: a number, or a date."""
    if told is None:
        return 0.0
    try:
        seconds = float(told)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(told).timestamp() - time.time()
        except ValueError:
            return 0.0
    # not a number compares false
    return min(seconds, _MOST_WAIT_S) if seconds > 0 else 0.0
