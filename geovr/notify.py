"""Tell a webhook how a pipeline run ended: signed, without anything secret, and without insisting.

The request is a POST of JSON, with
  X-GeoVR-Timestamp   seconds since 1970, anew with each try
  X-GeoVR-Signature   sha256=<hex of HMAC-SHA256 over "<timestamp>.<body>" with the shared key>
A receiver recomputes the signature, compares it in constant time, and refuses old timestamps.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import logging
import random
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from geovr import run_log
from geovr.config import Config, StageConfig, canonical_json, validate
from geovr.errors import UserError
from geovr.launch_config import SecretKey
from geovr.progress import StderrHandler
from geovr.stages import STAGES
from geovr.storage import StoreError

log = logging.getLogger("geovr")

_SHORTEST_KEY = 16
_LONGEST_MESSAGE = 500
_PASSING = (408, 425, 429)
"""Besides 5xx: what may pass by itself."""
_STATES = {
    "SUCCEEDED": "succeeded", "COMPLETE": "succeeded", "CACHED": "succeeded",
    "FAILED": "failed", "CANCELLED": "cancelled", "CANCELED": "cancelled",
}  # fmt: skip
"""What Kubeflow's local runner, its server and its documentation call a state."""
State = Literal["succeeded", "failed", "cancelled"]


class NotifyConfig(Config):
    """Who is told when a run has ended. The key comes from a secret, by reference."""

    url: str = Field(..., description="Of the webhook; https unless allow_http.")
    key: SecretKey = Field(
        SecretKey(name="geovr-notify", key="hmac-key"), description="Secret that signs."
    )
    mounted_at: str = Field(
        "/var/run/geovr/notify", pattern=r"^/[^$:]+$", description="Where the secret is mounted."
    )
    allow_http: bool = Field(False, description="For a receiver inside the cluster.")
    states: tuple[State, ...] = Field(
        ("succeeded", "failed", "cancelled"), description="Ends that are told of."
    )
    attempts: int = Field(5, ge=1, le=10, description="Tries to reach the webhook.")
    timeout_s: float = Field(10.0, gt=0, le=60, description="Seconds that one of them may take.")
    first_wait_s: float = Field(2.0, ge=0, description="Before the second try; it doubles.")

    @model_validator(mode="after")
    def _plain(self) -> NotifyConfig:
        parts = urlsplit(self.url)
        schemes = ("https", "http") if self.allow_http else ("https",)
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(
                f"url: must begin with {' or '.join(f'{s}://' for s in schemes)} and name a host"
                + ("" if self.allow_http else "; http:// needs allow_http")
            )
        # it stands in the compiled pipeline, which has many readers
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("url: must hold no user, password or query; the signature proves us")
        return self


class _Again(Exception):
    """What may pass by itself."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would send the body to whatever host it names."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def notify(
    config_json: str, stage_json: str, state: str, message: str, run: Mapping[str, str]
) -> str:
    """What the component of that name does; a webhook that is away ends no run red.

    Args:
        config_json: NotifyConfig.
        stage_json: the config of any stage; its store has what the stages said.
        state: of the run, as Kubeflow calls it.
        message: of Kubeflow's, if there is one.
        run: pipeline, run_id, run_name.

    Returns:
        what became of it.

    Raises:
        UserError: when the config is wrong or there is no key.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[StderrHandler()])
    log.setLevel(logging.INFO)
    config = validate(NotifyConfig, json.loads(config_json), source="cluster settings, notify")
    key = _key(Path(config.mounted_at) / config.key.key)
    store = json.loads(stage_json).get("store", StageConfig().store)
    try:
        told = run_log.read(store, run["run_id"])
    except (StoreError, UserError, OSError, ValueError) as error:
        log.warning("notify: what the stages said can't be read: %s", error)
        told = {}
    body = summary(state, message, told) | dict(run)
    if body["state"] not in (*config.states, "unknown"):
        outcome = f"nobody is to be told of a run that {body['state']}"
    else:
        outcome = deliver(config, key, canonical_json(body).encode())
    log.info("notify: %s", outcome)
    return outcome


def summary(state: str, message: str, told: Mapping[str, run_log.Told]) -> dict[str, Any]:
    """How a run ended.

    What stages said goes before Kubeflow's word: its server may not have the state yet, and never
    says where or why a run failed.

    Args:
        state: as Kubeflow calls it.
        message: of Kubeflow's.
        told: stage -> what it said last.
    """
    order = [stage.name for stage in STAGES if stage.name in told]
    red = [name for name in order if told[name]["status"] != "done"]
    ended = _STATES.get(state.upper(), "unknown")
    if any(told[name]["status"] == "failed" for name in red):
        ended = "failed"
    elif ended == "unknown" and "register" in order and not red:
        ended = "succeeded"
    body: dict[str, Any] = {
        "event": "run.ended",
        "state": ended,
        "time": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "failed_stage": None,
        "error": None,
        "message": None,
        "model": told.get("register", {}).get("model"),
    }
    if ended != "succeeded":
        first = told[red[0]] if red else {}
        why = first.get("message") or message or ""
        if first.get("status") == "started":
            why = "ended without a word: killed, out of memory, or over its time"
        body |= {
            "failed_stage": red[0] if red else None,
            "error": first.get("error"),
            "message": run_log.first_line(why)[:_LONGEST_MESSAGE] or None,
        }
    return body


def signature(key: bytes, timestamp: str, body: bytes) -> str:
    """The value of X-GeoVR-Signature."""
    return "sha256=" + hmac.new(key, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def deliver(config: NotifyConfig, key: bytes, body: bytes) -> str:
    """Post it, a bounded number of times; gives what became of it and never raises for that."""
    place = urlsplit(config.url).hostname
    wait_s, reason = config.first_wait_s, ""
    for tried in range(1, config.attempts + 1):
        try:
            return f"told {place} ({_post(config, key, body)})"
        except _Again as error:
            reason = str(error)
        except urllib.error.HTTPError as error:
            return f"NOT told: {place} refuses it: HTTP {error.code}{_moved(error.code)}"
        if tried < config.attempts:
            pause = wait_s * random.uniform(0.5, 1.0)
            log.warning("notify: %s: %s; again in %.1f s", place, reason, pause)
            time.sleep(pause)
            wait_s *= 2
    return f"NOT told: {place} was tried {config.attempts} times: {reason}"


def _post(config: NotifyConfig, key: bytes, body: bytes) -> str:
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "geovr",
        "X-GeoVR-Timestamp": timestamp,
        "X-GeoVR-Signature": signature(key, timestamp, body),
    }
    request = urllib.request.Request(config.url, body, headers, method="POST")
    try:
        with urllib.request.build_opener(_NoRedirect).open(
            request, timeout=config.timeout_s
        ) as response:
            return f"HTTP {response.status}"
    except urllib.error.HTTPError as error:
        if error.code in _PASSING or error.code >= 500:
            raise _Again(f"HTTP {error.code}") from None
        raise
    except urllib.error.URLError as error:
        raise _Again(f"no connection: {error.reason}") from None
    except TimeoutError:
        raise _Again(f"no answer in {config.timeout_s:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Again(f"the answer broke off ({type(error).__name__})") from None


def _moved(code: int) -> str:
    return "; it is not followed elsewhere: correct notify.url" if 300 <= code < 400 else ""


def _key(path: Path) -> bytes:
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; the secret of notify.key must be mounted there"
        ) from None
    if len(key) < _SHORTEST_KEY:
        raise UserError(f"{path}: a key of less than {_SHORTEST_KEY} bytes; make a longer one")
    return key
