"""One KFP server: requests with bounded retry, lists page by page, errors with their remedy."""

from __future__ import annotations

import json
import os
import random
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import kfp_server_api as kfp_api
from urllib3.exceptions import HTTPError

from geovr.errors import UserError
from pipelines.client.failures import as_user_reads, transient

T = TypeVar("T")
ATTEMPTS = 5
FIRST_DELAY_S = 0.5
_TIMEOUT_S = (10, 60)
"""To connect, and for the answer."""
_PAGE = 200
"""KFP gives no more at once, whatever it is asked for."""
TOKEN_FILE = Path("/var/run/secrets/kubeflow/pipelines/token")
"""Where Kubernetes projects a token for KFP into a pod, by KFP's own convention."""


@dataclass(frozen=True)
class Address:
    """Where the server is, and whose work it is asked for. Holds nothing secret."""

    host: str
    namespace: str | None = None
    ca_file: Path | None = None


class Api(kfp_api.ApiClient):  # type: ignore[misc]
    """kfp_server_api's client, which tells a page that is not KFP's from an answer."""

    def request(self, *args: Any, **values: Any) -> Any:
        """Make a request."""
        try:
            return super().request(*args, **values)
        except kfp_api.ApiException as error:
            error.body = error.body or b""  # what follows decodes it, of TLS that failed too
            raise

    def deserialize(self, response: Any, response_type: Any) -> Any:
        """The model of an answer."""
        try:
            json.loads(response.data)
        except ValueError:
            raise UserError(
                f"{self.configuration.host}: answers, but not as KFP's API does; check --host:"
                " behind Kubeflow's dashboard the API is under /pipeline, and a proxy may want a"
                " token (KFP_TOKEN)"
            ) from None
        return super().deserialize(response, response_type)


def connect(address: Address) -> Server:
    """A server by its address; nothing is sent yet.

    Raises:
        UserError: for an address that is none, or a token's file that can't be read.
    """
    host = address.host.rstrip("/")
    if not host.startswith(("http://", "https://")):
        raise UserError(f"--host {address.host}: give it with its scheme, as https://{host}")
    split = urllib.parse.urlsplit(host)
    if split.username is not None or split.password is not None or split.query:
        raise UserError("--host: holds a password or a query; a token belongs into KFP_TOKEN")
    if address.ca_file is not None and not address.ca_file.is_file():
        raise UserError(f"--ca-file {address.ca_file}: no such file")
    settings = kfp_api.Configuration(host=host)
    settings.retries = False  # of urllib3, which would send a lost POST again
    settings.ssl_ca_cert = str(address.ca_file) if address.ca_file else None
    if _token() is not None:
        settings.api_key["authorization"] = ""
        settings.api_key_prefix["authorization"] = "Bearer"
        # Kubernetes renews the file of a pod that waits for hours, so it is read for each request
        settings.refresh_api_key_hook = lambda s: s.api_key.update(authorization=_token() or "")
    return Server(Api(settings), address.namespace)


def _token() -> str | None:
    token = os.environ.get("KFP_TOKEN")
    if token:
        return token.strip()
    named = os.environ.get("KFP_TOKEN_FILE") or os.environ.get("KF_PIPELINES_SA_TOKEN_PATH")
    path = Path(named) if named else TOKEN_FILE
    if not named and not path.exists():
        return None
    try:
        return path.read_text().strip()
    except OSError as error:
        raise UserError(f"{path}: the token can't be read: {error.strerror}") from None


class Server:
    """The requests that are made of a KFP server.

    Attributes:
        namespace: of the user, where KFP runs for many of them.
    """

    def __init__(self, api: Any, namespace: str | None) -> None:
        self.api, self.namespace = api, namespace
        self.experiments = kfp_api.ExperimentServiceApi(api)
        self.pipelines = kfp_api.PipelineServiceApi(api)
        self.uploads = kfp_api.PipelineUploadServiceApi(api)
        self.runs = kfp_api.RunServiceApi(api)
        self.schedules = kfp_api.RecurringRunServiceApi(api)

    @property
    def host(self) -> str:
        """Its address."""
        return str(self.api.configuration.host)

    def ask(
        self,
        doing: str,
        request: Callable[..., T],
        *args: Any,
        done: Callable[[], T | None] | None = None,
        known: tuple[int, ...] = (),
        **values: Any,
    ) -> T:
        """Make a request, again after a moment when it failed for a while only.

        Args:
            doing: what it is for, in messages.
            request: a method of one of the services.
            args: of it.
            done: for a request that must not be made twice: gives what an earlier try has made,
                whose answer was lost.
            known: HTTP states that the caller answers for; the exception comes as it is.
            values: of the request, those that are None left out.

        Raises:
            UserError: when the server refuses.
            Away: when it gives no answer or is in trouble, after all tries.
        """
        values = {name: value for name, value in values.items() if value is not None}
        for attempt in range(ATTEMPTS):
            try:
                if attempt > 0 and done is not None and (made := done()) is not None:
                    return made
                return request(*args, _request_timeout=_TIMEOUT_S, **values)
            except (kfp_api.ApiException, HTTPError) as error:
                if getattr(error, "status", None) in known:
                    raise
                if not transient(error) or attempt == ATTEMPTS - 1:
                    raise as_user_reads(error, doing, self.host) from None
                time.sleep(FIRST_DELAY_S * 2**attempt * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")

    def listed(
        self, doing: str, request: Callable[..., Any], field: str, *args: Any, **values: Any
    ) -> Iterator[Any]:
        """The items of a list, page by page."""
        token: str | None = None
        while True:
            page = self.ask(doing, request, *args, page_size=_PAGE, page_token=token, **values)
            yield from getattr(page, field) or []
            token = page.next_page_token or None
            if token is None:
                return

    def named(self, name: str, operation: str = "EQUALS") -> str:
        """A filter on names, as KFP takes it: JSON, and URL-encoded once more."""
        predicate = kfp_api.V2beta1Predicate(
            operation=operation, key="display_name", string_value=name
        )
        values = self.api.sanitize_for_serialization(kfp_api.V2beta1Filter(predicates=[predicate]))
        return urllib.parse.quote(json.dumps(values))
