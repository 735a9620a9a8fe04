"""A client of an S3 server: where it is, how long it is waited for, how often it is asked.

Credentials and endpoint come from the environment, as AWS's own programs have them.
"""

from __future__ import annotations

import functools
import os
import random
import threading
from typing import Any

from geovr.errors import UserError

CONNECTIONS = 8
"""Reads or writes of one object at once; AWS advises 8 to 16 for 10 Gbit/s."""
ATTEMPTS = 7
"""Of a request, and of a body, each; AWS_MAX_ATTEMPTS says another number."""
READ_TIMEOUT_S = 60.0
"""Without a byte from the server; GEOVR_S3_TIMEOUT_S says another number."""
_MOST_PAUSE_S = 20.0
_IDENTITY = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL",
)  # fmt: skip
_LOCK = threading.Lock()
_ALTERED = ("BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",
            "IncompleteBody")  # fmt: skip
"""What a server says when other or fewer bytes arrive than were sent."""


def most_attempts() -> int:
    """How often one thing is asked for before its failure is told."""
    return int(_number("AWS_MAX_ATTEMPTS", ATTEMPTS, whole=True))


def pause_s(attempt: int) -> float:
    """Seconds before another try, as botocore draws them: others failed at the same moment."""
    return random.uniform(0, min(2.0 ** (attempt - 1), _MOST_PAUSE_S))


def _again(response: tuple[Any, dict[str, Any]] | None, attempts: int, **_: Any) -> float | None:
    """For how long to wait before what passes by itself, though botocore takes it for final."""
    if response is None or attempts >= most_attempts():
        return None
    code = response[1].get("Error", {}).get("Code")
    passes = response[0].status_code == 429 or code in _ALTERED
    return pause_s(attempts) if passes else None


@functools.cache
def _session(*identity: str | None) -> Any:
    """A session keeps the credentials that it saw first: one for each set of variables."""
    import boto3

    return boto3.Session()


def s3_client() -> Any:
    """A client that asks again, with pauses that are drawn and grow, what may pass by itself.

    Raises:
        UserError: for an endpoint that is none or has a password in it, a profile that is missing,
            or a number that is none.
    """
    from botocore.config import Config as BotoConfig
    from botocore.exceptions import BotoCoreError

    config = BotoConfig(
        retries={"total_max_attempts": most_attempts(), "mode": "standard"},
        connect_timeout=10,
        read_timeout=_number("GEOVR_S3_TIMEOUT_S", READ_TIMEOUT_S),
        max_pool_connections=2 * CONNECTIONS,
    )
    try:
        with _LOCK:  # a session is not for several threads
            session = _session(*(os.environ.get(name) for name in _IDENTITY))
            client = session.client("s3", config=config)
    except ValueError:  # it tells the address, in which a password may be
        raise UserError(
            "AWS_ENDPOINT_URL (or endpoint_url of the AWS profile) is no address; give it as"
            " https://host:port"
        ) from None
    except BotoCoreError as error:
        raise UserError(f"S3: {error}; correct AWS_PROFILE or the AWS configuration") from error
    if "@" in client.meta.endpoint_url:
        # botocore tells the address in its messages
        raise UserError(
            "AWS_ENDPOINT_URL (or endpoint_url of the AWS profile) holds a user or password; give"
            " the address alone, and credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    client.meta.events.register("needs-retry.s3", _again)
    return client


def credentials_source() -> str | None:
    """Where boto3 finds credentials (env, shared-credentials-file, a role), None without any."""
    import boto3

    found = boto3.Session().get_credentials()
    return None if found is None else str(found.method)


def _number(variable: str, default: float, *, whole: bool = False) -> float:
    """A positive number from the environment."""
    told = os.environ.get(variable, "").strip()
    if not told:
        return default
    try:
        number = int(told) if whole else float(told)
    except ValueError:
        number = 0
    if not 0 < number < 1e6:
        kind = "a whole number above 0" if whole else "a number of seconds above 0"
        raise UserError(f"{variable}: {told!r} is not {kind}; correct it, or leave it out")
    return number
