"""KFP's API over HTTP on the loopback, strict, in memory, and able to fail on purpose."""

from __future__ import annotations

import email
import email.policy
import json
import re
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kfp_server_api as kfp_api

from tests.kfp_models import Refused, answer, parse
from tests.kfp_state import State

API = "/apis/v2beta1"
PAGE = {"page_token", "page_size", "sort_by", "filter"}
ID = r"([0-9a-f-]{36})"
Fault = Callable[["_Handler"], bool]
"""Does something in place of the answer; True when the request is to be worked on all the same."""
_CODES = {400: 3, 401: 16, 404: 5, 409: 6}


class KfpServer(ThreadingHTTPServer):
    """The server.

    Attributes:
        state: what it holds.
        token: which requests must carry.
        faults: of the next requests, the first one first; None where nothing fails.
        before: called with method and path before a request is worked on.
        latency_s: before each answer.
        requests: method, path, query and body of those that came, in order.
    """

    daemon_threads = True

    def __init__(self, token: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state, self.token = State(), token
        self.faults: list[Fault | None] = []
        self.before: Callable[[str, str], None] | None = None
        self.after: Callable[[str, str], None] | None = None
        self.latency_s = 0.0
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        """For --host."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell what is wrong with this server; a client that has hung up is none of it."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def written(self) -> list[str]:
        """Method and path of the requests that would change something."""
        return [f"{m} {p.removeprefix(API)}" for m, p, *_ in self.requests if m != "GET"]


@contextmanager
def kfp_server(token: str | None = None) -> Iterator[KfpServer]:
    """A server for as long as the block runs."""
    server = KfpServer(token)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: KfpServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._work("GET")

    def do_POST(self) -> None:
        self._work("POST")

    def do_DELETE(self) -> None:
        self._work("DELETE")

    def _work(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server, split = self.server, urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(split.path)
        query = dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))
        if server.before is not None:
            server.before(method, path)
        time.sleep(server.latency_s)
        with server.state.lock:
            fault = server.faults.pop(0) if server.faults else None
            server.requests.append((method, path, query, _json(body)))
        if fault is not None and not fault(self):
            return
        try:
            if server.token and self.headers.get("authorization") != f"Bearer {server.token}":
                raise Refused("Request header error: there is no valid token", 401)
            with server.state.lock:
                made = answer(_route(server.state, method, path, query, body, self.headers))
            status = 200
        except Refused as error:
            status, made = error.status, _error(path, error)
        if server.after is not None:
            server.after(method, path)
        if fault is not None:  # its answer is lost
            self.close_connection = True
            return
        self.reply(status, made)

    def reply(self, status: int, content: Any) -> None:
        """Send an answer."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def failing(status: int) -> Fault:
    """An answer that says the server failed; nothing was done."""

    def fault(handler: _Handler) -> bool:
        handler.reply(status, {"error": "on purpose", "code": 13, "message": "on purpose"})
        return False

    return fault


def dropped(handler: _Handler) -> bool:
    """The connection is closed; nothing was done."""
    handler.close_connection = True
    return False


def lost(handler: _Handler) -> bool:
    """What was asked for is done, and the answer is lost."""
    return True


def _error(path: str, error: Refused) -> dict[str, Any]:
    if path.startswith(f"{API}/pipelines/upload"):
        return {"error_message": str(error), "error_details": str(error)}
    return {
        "error": str(error), "code": _CODES.get(error.status, 2), "message": str(error),
        "details": [],
    }  # fmt: skip


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def _known(query: dict[str, str], *names: str) -> None:
    for name in query:
        if name not in names:
            raise Refused(f"unknown parameter {name!r}")


def _route(
    state: State, method: str, path: str, query: dict[str, str], body: bytes, headers: Any
) -> Any:
    """The model that answers a request.

    Raises:
        Refused: when the API would refuse it.
    """
    creates = {
        "/experiments": ("V2beta1Experiment", state.create_experiment),
        "/pipelines": ("V2beta1Pipeline", state.create_pipeline),
        "/runs": ("V2beta1Run", state.create_run),
        "/recurringruns": ("V2beta1RecurringRun", state.create_schedule),
    }
    where = path.removeprefix(API)
    if method == "POST" and where in creates:
        _known(query)
        model, create = creates[where]
        try:
            data = json.loads(body)
        except ValueError:
            raise Refused("the body is no JSON") from None
        return create(parse(model, data))
    if (method, where) == ("POST", "/pipelines/upload_version"):
        _known(query, "name", "display_name", "pipelineid", "description", "tags")
        return state.upload_version(_uploaded(body, headers), query)
    if method == "GET":
        return _get(state, where, query)
    if match := re.fullmatch(rf"/runs/{ID}:terminate", where):
        _known(query)
        state.terminate(match[1])
        return {}
    if match := re.fullmatch(rf"/recurringruns/{ID}:(enable|disable)", where):
        _known(query)
        state.switch(match[1], match[2] == "enable")
        return {}
    if method == "DELETE" and (match := re.fullmatch(rf"/recurringruns/{ID}", where)):
        _known(query, "propagation_policy")
        policy = query.get("propagation_policy")
        if policy is not None:
            parse("V2beta1DeletePropagationPolicy", policy, "propagation_policy")
        state.delete_schedule(match[1], policy)
        return {}
    raise Refused(f"{method} {path} is nothing of this API", 404)


def _get(state: State, where: str, query: dict[str, str]) -> Any:
    if match := re.fullmatch(rf"/runs/{ID}", where):
        _known(query)
        return state.get_run(match[1])
    if match := re.fullmatch(rf"/pipelines/{ID}/versions", where):
        _known(query, *PAGE)
        items, token = state.listed(state.of_pipeline(match[1]), query)
        return kfp_api.V2beta1ListPipelineVersionsResponse(
            pipeline_versions=items, next_page_token=token
        )
    lists = {
        "/experiments": (state.experiments, "experiments", kfp_api.V2beta1ListExperimentsResponse),
        "/pipelines": (state.pipelines, "pipelines", kfp_api.V2beta1ListPipelinesResponse),
        "/runs": (state.runs, "runs", kfp_api.V2beta1ListRunsResponse),
        "/recurringruns": (
            state.schedules, "recurring_runs", kfp_api.V2beta1ListRecurringRunsResponse,
        ),
    }  # fmt: skip
    if where not in lists:
        raise Refused(f"GET {where} is nothing of this API", 404)
    items, field, response = lists[where]
    experiment = query.get("experiment_id")
    _known(query, *PAGE, "namespace", *(["experiment_id"] if "runs" in where else []))
    if experiment is not None:
        if not any(one.experiment_id == experiment for one in state.experiments):
            raise Refused(f"experiment {experiment} not found", 404)
        items = [one for one in items if one.experiment_id == experiment]
    page, token = state.listed(list(items), query)
    return response(**{field: page, "next_page_token": token})


def _uploaded(body: bytes, headers: Any) -> bytes:
    told = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(told + body, policy=email.policy.HTTP)
    for part in message.iter_parts() if message.is_multipart() else []:
        if part.get_param("name", header="content-disposition") == "uploadfile":
            return bytes(part.get_payload(decode=True))
    raise Refused("Failed to read pipeline from file")
