"""What may fail between here and an S3 server: asked again, or told with the object and a remedy.

The client asks again when a request fails (storage_s3_client.py), and what fails while a body
arrives is asked again here.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from geovr.errors import StoreError
from geovr.storage_s3_client import most_attempts, pause_s

_HIDDEN = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_RIGHTS = "check the credentials and what they may do there"
_REMEDIES = {
    "NoSuchBucket": "create that bucket, or correct the URI",
    "AccessDenied": _RIGHTS,
    "403": _RIGHTS,
    "InvalidAccessKeyId": _RIGHTS,
    "SignatureDoesNotMatch": _RIGHTS,
    "ExpiredToken": "renew the credentials",
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "EndpointConnectionError": "see that this server runs, or correct AWS_ENDPOINT_URL",
}
_LATER = "when the server is well again, run the same command again; what was there before is whole"


class _Backend(Protocol):
    @property
    def uri(self) -> str: ...


_Self = TypeVar("_Self", bound=_Backend)
_P = ParamSpec("_P")
_R = TypeVar("_R")


class BodyLost(Exception):
    """An answer whose body didn't arrive whole; the cause says how."""


@contextmanager
def arriving() -> Iterator[None]:
    """Around the reading of a body: after a request was answered, botocore asks no more."""
    from botocore.exceptions import (
        ConnectionClosedError,
        FlexibleChecksumError,
        IncompleteReadError,
        ReadTimeoutError,
        ResponseStreamingError,
    )

    try:
        yield
    except (
        ConnectionClosedError,
        FlexibleChecksumError,
        IncompleteReadError,
        ReadTimeoutError,
        ResponseStreamingError,
    ) as error:
        raise BodyLost from error


def asked_again(call: Callable[[], _R], *passing: str) -> _R:
    """Call until no body is lost on its way, each time later, so often and no more.

    Args:
        call: what is to be done.
        passing: codes of S3 with which it is worth doing again, too.
    """
    from botocore.exceptions import ClientError

    for attempt in range(1, most_attempts()):
        try:
            return call()
        except BodyLost:
            pass
        except ClientError as error:
            if error.response["Error"].get("Code") not in passing:
                raise
        pause(attempt)
    return call()


def pause(attempt: int) -> None:
    """Wait before the next try."""
    time.sleep(pause_s(attempt))


@contextmanager
def failures_named(uri: str) -> Iterator[None]:
    """A failure of S3 that trying again has not healed, as an error that names the object.

    Raises:
        StoreError: with S3's code and the remedy.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, Boto3Error, ClientError, BodyLost) as failure:
        error = failure.__cause__ if isinstance(failure, BodyLost) else failure
        code = type(error).__name__
        if isinstance(error, ClientError):
            code = str(error.response["Error"].get("Code", code))
        told = f"{uri}: {code}: {error}; {_REMEDIES.get(code, _LATER)}"
        # a server's message may hold what it was sent, and so would the cause in a traceback
        shown = _hidden(told)
        raise StoreError(shown) from (error if shown == told else None)


def _hidden(text: str) -> str:
    """Without secrets of the environment, and without passwords in addresses."""
    for name in _HIDDEN:
        if secret := os.environ.get(name):
            text = text.replace(secret, "***")
    return re.sub(r"(\w+://)[^/@\s]+@", r"\1***@", text)


def names_failures(
    method: Callable[Concatenate[_Self, str, _P], _R],
) -> Callable[Concatenate[_Self, str, _P], _R]:
    """`failures_named` around a method whose first argument is a key below the backend's URI."""

    @wraps(method)
    def named(self: _Self, key: str, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with failures_named(f"{self.uri}/{key}"):
            return method(self, key, *args, **kwargs)

    return named
