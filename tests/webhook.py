"""A webhook's receiver that checks signatures, and can fail on purpose."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = Callable[["_Handler"], None]


class Receiver(ThreadingHTTPServer):
    """Takes what is signed with its key.

    Attributes:
        faults: what happens to the next requests instead, the first one first.
        told: bodies that were taken.
        raw: the same as they came, and the requests' headers.
        seen: number of requests, with those that failed.
        released: lets go of requests that hang.
    """

    daemon_threads = True

    def __init__(self, key: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = key
        self.faults: list[Fault] = []
        self.told: list[dict[str, Any]] = []
        self.raw: list[tuple[bytes, Message]] = []
        self.seen = 0
        self.released = threading.Event()

    @property
    def url(self) -> str:
        """Of the webhook."""
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        server.seen += 1
        if server.faults:
            server.faults.pop(0)(self)
            return
        genuine = self._genuine(body)
        if genuine:
            server.raw.append((body, self.headers))
            server.told.append(json.loads(body))
        self.answer(204 if genuine else 401)

    def do_GET(self) -> None:
        self.server.seen += 1
        self.answer(204)

    def answer(self, status: int, **headers: str) -> None:
        """Answer without a body."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing on a test's terminal."""

    def _genuine(self, body: bytes) -> bool:
        timestamp = self.headers.get("X-GeoVR-Timestamp", "")
        told = self.headers.get("X-GeoVR-Signature", "")
        if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > 300:
            return False
        mac = hmac.new(self.server.key, timestamp.encode() + b"." + body, hashlib.sha256)
        return hmac.compare_digest(told, f"sha256={mac.hexdigest()}")


def status(code: int, **headers: str) -> Fault:
    """Answer with a status."""
    return lambda handler: handler.answer(code, **headers)


def hang(handler: _Handler) -> None:
    """Answer nothing for as long as the test runs."""
    handler.server.released.wait(30)


def cut(handler: _Handler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


@contextmanager
def receiving(key: bytes) -> Iterator[Receiver]:
    """A receiver, for as long as the block runs."""
    receiver = Receiver(key)
    thread = threading.Thread(target=receiver.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        receiver.shutdown()
        receiver.server_close()
        thread.join()
