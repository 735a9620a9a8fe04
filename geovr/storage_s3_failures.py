"""What may fail between here and an S3 server: asked again, or told with the object and a remedy.

botocore retries a request that fails; what fails while a body arrives is retried here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from geovr.errors import StoreError

ATTEMPTS = 6
"""Of a request and of a body, each."""
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
    except (BotoCoreError, Boto3Error, ClientError) as error:
        code = type(error).__name__
        if isinstance(error, ClientError):
            code = str(error.response["Error"].get("Code", code))
        raise StoreError(f"{uri}: {code}: {error}; {_REMEDIES.get(code, _LATER)}") from error


def names_failures(
    method: Callable[Concatenate[_Self, str, _P], _R],
) -> Callable[Concatenate[_Self, str, _P], _R]:
    """`failures_named` around a method whose first argument is a key below the backend's URI."""

    @wraps(method)
    def named(self: _Self, key: str, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with failures_named(f"{self.uri}/{key}"):
            return method(self, key, *args, **kwargs)

    return named


def with_body_retried(
    get: Callable[[], tuple[bytes, dict[str, Any]]],
) -> tuple[bytes, dict[str, Any]]:
    """A lost connection or a short body is no answer: ask again, each time later."""
    from botocore.exceptions import (
        ConnectionClosedError,
        IncompleteReadError,
        ReadTimeoutError,
        ResponseStreamingError,
    )

    for attempt in range(1, ATTEMPTS):
        try:
            return get()
        except (
            ConnectionClosedError,
            IncompleteReadError,
            ReadTimeoutError,
            ResponseStreamingError,
        ):
            time.sleep(0.1 * 2**attempt)
    return get()
