"""A proxy in front of an S3 server that does to chosen requests what networks and servers do.

The client's endpoint is the proxy, and its request goes on as it came, Host header and all: the
server checks the signature against that Host. The proxy only ends each connection to the server.
"""

from __future__ import annotations

import http.client
import random
import socket
import struct
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, sleep  # by name: tests shorten the pauses of clients in this process
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_PIECE = 1 << 16


@dataclass(frozen=True)
class Answer:
    """This instead of the server's; the server never hears of the request."""

    status: int
    code: str
    message: str = "told by the proxy"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reset:
    """The connection is reset; `after` the server has done what was asked, or before."""

    after: bool = False


@dataclass(frozen=True)
class Cut:
    """A part of the body comes, then a reset, or an orderly end that is short of the length."""

    reset: bool
    share: float = 0.5


@dataclass(frozen=True)
class Late:
    """The server has done what was asked, and its answer comes after a while."""

    seconds: float


@dataclass(frozen=True)
class Stall:
    """Half of the body comes, then nothing for a while, and the rest."""

    seconds: float


@dataclass(frozen=True)
class Trickle:
    """The body comes in so many pieces, with a pause before each."""

    pieces: int = 20
    pause_s: float = 0.002


@dataclass(frozen=True)
class Flip:
    """One bit of the body is another, on its way up to the server or down from it."""

    up: bool


@dataclass(frozen=True)
class Hold:
    """The request waits here until it is let go; whoever waits for `held` knows that it is."""

    held: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)


Fault = Answer | Reset | Cut | Late | Stall | Trickle | Flip | Hold


@dataclass(frozen=True)
class Asked:
    """One request as it reached the proxy.

    Attributes:
        operation: S3's name of it.
        key: below the bucket; of a listing its prefix.
        at: when, by the monotonic clock.
        path: as it was sent, with its query.
        headers: lower-case name -> value.
        part: number of a part that is sent.
        fault: what was done to it.
    """

    operation: str
    key: str
    at: float
    path: str
    headers: dict[str, str]
    part: int | None = None
    fault: Fault | None = None

    @property
    def same(self) -> tuple[str, str, str | None]:
        """What a second try has in common with the first."""
        return self.operation, self.path, self.headers.get("range")


Plan = Callable[[Asked], Fault | None]
"""What is done to a request; None lets it through. Asked by one thread at a time."""


def times(count: int, fault: Fault, *operations: str, key: str = "") -> Plan:
    """The fault for the first so many requests of these operations whose key ends so."""
    left = [count]

    def plan(asked: Asked) -> Fault | None:
        meant = not operations or asked.operation in operations
        if not (meant and asked.key.endswith(key) and left[0]):
            return None
        left[0] -= 1
        return fault

    return plan


def always(fault: Fault, *operations: str, key: str = "") -> Plan:
    """The fault for all requests of these operations whose key ends so."""
    return times(-1, fault, *operations, key=key)


def every_third(seed: int, faults: Collection[Fault]) -> Plan:
    """One of the faults for each third request, drawn by the seed; never twice in a row for one."""
    draw, count, hit = random.Random(seed), [0], set[tuple[str, str, str | None]]()

    def plan(asked: Asked) -> Fault | None:
        count[0] += 1
        if asked.same in hit:
            hit.remove(asked.same)
            return None
        if count[0] % 3:
            return None
        fitting = [fault for fault in faults if fits(fault, asked.operation)]
        hit.add(asked.same)
        return draw.choice(fitting)

    return plan


def fits(fault: Fault, operation: str) -> bool:
    """Bodies go down with what is read, and up with what is written."""
    if isinstance(fault, Cut | Stall | Trickle):
        return operation in ("GetObject", "ListObjectsV2", "ListMultipartUploads")
    if isinstance(fault, Flip):
        # a listing carries no digest
        return operation in (("PutObject", "UploadPart") if fault.up else ("GetObject",))
    return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error here."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FaultyS3:
    """The proxy; `plan` may be changed at any time, `asked` holds all requests since `forget`."""

    def __init__(self, port: int, bucket: str) -> None:
        self.port, self.bucket = port, bucket
        self.plan: Plan = lambda asked: None
        self.asked: list[Asked] = []
        self.lock = threading.Lock()
        self.server = _Server(("127.0.0.1", 0), _handler(self))

    @property
    def url(self) -> str:
        """For AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def forget(self) -> None:
        """Leave out of `asked` what was asked until now."""
        with self.lock:
            self.asked.clear()

    def of(self, *operations: str, key: str = "") -> list[Asked]:
        """Requests of these operations whose key ends so."""
        with self.lock:
            asked = list(self.asked)
        return [one for one in asked if one.operation in operations and one.key.endswith(key)]

    def decide(self, asked: Asked) -> Fault | None:
        """Note a request and say what is done to it."""
        with self.lock:
            fault = self.plan(asked)
            self.asked.append(replace(asked, fault=fault))
            return fault


@contextmanager
def faulty_s3(port: int, bucket: str) -> Iterator[FaultyS3]:
    """A proxy in front of the S3 server of a port of the loopback."""
    proxy = FaultyS3(port, bucket)
    thread = threading.Thread(target=proxy.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        proxy.server.server_close()
        thread.join()


def _asked(method: str, path: str, bucket: str, headers: dict[str, str]) -> Asked:
    split = urlsplit(path)
    query = parse_qs(split.query, keep_blank_values=True)
    key = unquote(split.path).removeprefix(f"/{bucket}").lstrip("/")
    part = None
    if "uploads" in query:
        operation = "ListMultipartUploads" if method == "GET" else "CreateMultipartUpload"
    elif "uploadId" in query:
        operation = {
            "PUT": "UploadPart", "POST": "CompleteMultipartUpload",
            "DELETE": "AbortMultipartUpload", "GET": "ListParts",
        }[method]  # fmt: skip
        part = int(query["partNumber"][0]) if "partNumber" in query else None
    elif key:
        names = {"PUT": "Put", "GET": "Get", "HEAD": "Head", "DELETE": "Delete"}
        operation = f"{names[method]}Object"
    else:
        operation = "ListObjectsV2" if method == "GET" else f"{method} bucket"
    prefix = query.get("prefix", [""])[0]
    return Asked(operation, key or prefix, monotonic(), path, headers, part)


def _flipped(body: bytes) -> bytes:
    changed = bytearray(body)
    if changed:
        changed[len(changed) // 2] ^= 4
    return bytes(changed)


def _handler(proxy: FaultyS3) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:
            """`asked` tells it."""

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:  # the client was killed while it sent
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = _asked(self.command, self.path, proxy.bucket, headers)
            fault = proxy.decide(asked)
            with suppress(ConnectionError):  # the client has gone
                self._answer(body, fault)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

        def _answer(self, body: bytes, fault: Fault | None) -> None:
            match fault:
                case Answer():
                    self._tell(fault)
                    return
                case Reset(after=False):
                    self._reset()
                    return
                case Hold():
                    fault.held.set()
                    fault.go.wait()
                case Flip(up=True):
                    body = _flipped(body)
            status, headers, content = self._ask(body)
            match fault:
                case Reset(after=True):
                    self._reset()
                    return
                case Late():
                    sleep(fault.seconds)
                case Flip(up=False):
                    content = _flipped(content)
            self._pass_on(status, headers, content, fault)

        def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            """What the server says."""
            server = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    server.putheader(name, value)
            server.putheader("Connection", "close")
            server.endheaders(body or None)
            with server.getresponse() as answer:
                content = answer.read()
                told = [
                    (name, value)
                    for name, value in answer.getheaders()
                    if name.lower() not in ("connection", "transfer-encoding", "content-length")
                ]
                # of a HEAD the length of what is not sent
                length = str(len(content))
                if self.command == "HEAD":
                    length = answer.getheader("Content-Length") or "0"
            server.close()
            return answer.status, [*told, ("Content-Length", length)], content

        def _pass_on(
            self, status: int, headers: list[tuple[str, str]], content: bytes, fault: Fault | None
        ) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            match fault:
                case Cut():
                    self.wfile.write(content[: int(len(content) * fault.share)])
                    if fault.reset:
                        # what lies in the client's buffer is lost with the reset
                        sleep(0.01)
                        self._reset()
                    else:
                        self.close_connection = True
                case Stall():
                    half = len(content) // 2
                    self.wfile.write(content[:half])
                    sleep(fault.seconds)
                    self.wfile.write(content[half:])
                case Trickle():
                    step = -(-len(content) // fault.pieces) or 1
                    for start in range(0, len(content), step):
                        sleep(fault.pause_s)
                        self.wfile.write(content[start : start + step])
                case _:
                    for start in range(0, len(content), _PIECE):
                        self.wfile.write(content[start : start + _PIECE])

        def _tell(self, answer: Answer) -> None:
            body = (
                "<?xml version='1.0' encoding='UTF-8'?>"
                f"<Error><Code>{answer.code}</Code><Message>{answer.message}</Message></Error>"
            ).encode()
            headers = [*answer.headers.items(), ("Content-Length", str(len(body)))]
            self._pass_on(answer.status, headers, body, None)

        def _reset(self) -> None:
            """RST instead of FIN."""
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

    return Handler
