"""The part of a Kubernetes API server, with Volcano, that a launcher talks to, over real HTTP.

What the job "does" is up to the test, which sets phases and logs. State is kept as a cluster keeps
it: a name is taken until its job is deleted.
"""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

_JOBS = re.compile(
    r"^/apis/batch\.volcano\.sh/v1alpha1/namespaces/([^/]+)/jobs(?:/([^/]+))?(/status)?$"
)
_POD = re.compile(r"^/api/v1/namespaces/([^/]+)/pods/([^/]+)(/log)?$")


class Cluster:
    """A server on a free port, and what it holds."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, list[str]] = {}
        self.created: list[str] = []
        self.broken_for = 0
        """How many requests are answered with an error."""
        self.broken_code = 500
        self.log_connections = 0
        self.break_logs_after: int | None = None
        """Lines after which the first connection for a log ends."""
        cluster = self

        class Handler(_Handler):
            held = cluster

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def phase(self, name: str, phase: str) -> None:
        """What Volcano's controller would write."""
        self.jobs[name]["status"] = {"state": {"phase": phase}}

    def ended(self, name: str) -> bool:
        phase = self.jobs.get(name, {}).get("status", {}).get("state", {}).get("phase", "Completed")
        return phase in ("Completed", "Failed", "Aborted", "Terminated")

    def kubeconfig(self, path: Path) -> Path:
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "clusters": [{"name": "c", "cluster": {"server": url}}],
                    "users": [{"name": "u", "user": {}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )
        return path

    def wait_for(self, count: int = 1) -> str:
        """Name of the job created last, once so many were created."""
        deadline = time.monotonic() + 30
        while len(self.created) < count:
            assert time.monotonic() < deadline, "no job was created"
            time.sleep(0.01)
        return self.created[-1]


class _Handler(BaseHTTPRequestHandler):
    held: Cluster

    def log_message(self, *_: Any) -> None:
        pass

    def _send(self, code: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, code: int, name: str = "") -> None:
        self._send(code, {"kind": "Status", "code": code, "details": {"name": name}})

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return body

    def _broken(self) -> bool:
        if self.held.broken_for > 0:
            self.held.broken_for -= 1
            self._refuse(self.held.broken_code)
            return True
        return False

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if pod := _POD.match(path):
            self._pod(pod[2], bool(pod[3]))
            return
        if self._broken():
            return
        job = _JOBS.match(path)
        assert job is not None, path
        if job[2] in self.held.jobs:
            self._send(200, self.held.jobs[job[2]])
        else:
            self._refuse(404)

    def _pod(self, name: str, log: bool) -> None:
        owner = next((job for job in self.held.jobs if name.startswith(job)), None)
        if owner is None or name not in self.held.logs:
            self._refuse(404)
            return
        if not log:
            container = {"name": name.removeprefix(f"{owner}-").removesuffix("-0"), "image": "i"}
            body = {"metadata": {"name": name}, "spec": {"containers": [container]}, "status": {}}
            self._send(200, body)
            return
        self.held.log_connections += 1
        first = self.held.log_connections == 1
        self.send_response(200)
        self.end_headers()
        sent = 0
        while True:
            lines = self.held.logs[name]
            for line in lines[sent:]:
                self.wfile.write(f"{line}\n".encode())
                self.wfile.flush()
                sent += 1
                if first and sent == self.held.break_logs_after:
                    return
            if self.held.ended(owner) and sent == len(lines):
                return
            time.sleep(0.01)

    def do_POST(self) -> None:
        body = self._body()
        name = body["metadata"]["name"]
        if name in self.held.jobs:
            self._refuse(409, name)
            return
        self.held.jobs[name] = body
        self.held.created.append(name)
        self._send(201, body)

    def do_PUT(self) -> None:
        job = _JOBS.match(self.path.partition("?")[0])
        assert job is not None and job[3], self.path
        body = self._body()
        self.held.jobs[job[2]]["status"] = body["status"]
        self._send(200, self.held.jobs[job[2]])

    def do_DELETE(self) -> None:
        job = _JOBS.match(self.path.partition("?")[0])
        assert job is not None, self.path
        self.held.jobs.pop(job[2], None)
        self._send(200, {"kind": "Status", "status": "Success"})
