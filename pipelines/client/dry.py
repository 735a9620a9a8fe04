"""`--dry-run`: the requests as they would be sent, told by the very code that sends them."""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from typing import Any

import kfp_server_api as kfp_api
import yaml

from geovr import cli_json
from pipelines.client.server import Api, Server

_IDS = {
    "pipelines": "pipeline_id",
    "upload_version": "pipeline_version_id",
    "experiments": "experiment_id",
    "runs": "run_id",
    "recurringruns": "recurring_run_id",
}
_LISTS = {"recurringruns": "recurringRuns"}
ASSUMED = (
    "as they would be sent to a server that holds nothing of this yet; what is there already is not"
    " sent again; <...> stands for ids that the server gives"
)


class _Answer:
    status = 200

    def __init__(self, values: dict[str, Any]) -> None:
        self.data = json.dumps(values).encode()

    def getheader(self, name: str, default: str | None = None) -> str | None:
        return "application/json" if name.lower() == "content-type" else default

    def getheaders(self) -> dict[str, str]:
        return {}


class Recorder(Api):
    """In a server's place: keeps what would change something, and says that it worked."""

    def __init__(self) -> None:
        super().__init__(kfp_api.Configuration(host="https://dry-run.invalid"))
        self.requests: list[dict[str, Any]] = []
        self._made: dict[str, list[dict[str, Any]]] = {}

    def request(
        self,
        method: str,
        url: str,
        query_params: Any = None,
        headers: Any = None,
        post_params: Any = None,
        body: Any = None,
        _preload_content: bool = True,
        _request_timeout: Any = None,
    ) -> Any:
        """Keep a request, and answer it."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
        kind = path.rpartition("/")[2]
        if method == "GET":
            return _Answer({_LISTS.get(kind, kind): self._made.get(kind, [])})
        told: dict[str, Any] = {"method": method, "path": path}
        if query_params:
            told["query"] = dict(query_params)
        for name, (filename, content, _) in post_params or []:
            told["file"] = {
                "field": name, "name": filename, "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }  # fmt: skip
        if body:
            told["body"] = body
        self.requests.append(told)
        if path.endswith(":enable"):
            self._made["recurringruns"][-1]["status"] = "ENABLED"
        if kind not in _IDS:
            return _Answer({})
        made = {**(body or {}), _IDS[kind]: f"<{_IDS[kind]}>"}
        self._made.setdefault(kind, []).append(made)
        return _Answer(made)


def dry_server(namespace: str | None) -> tuple[Server, Recorder]:
    """A server that keeps its requests, and where they are kept."""
    recorder = Recorder()
    return Server(recorder, namespace), recorder


def tell_requests(requests: list[dict[str, Any]], as_json: bool) -> None:
    """Print requests, as YAML for people."""
    if as_json:
        cli_json.tell({"status": "done", "assumed": ASSUMED, "requests": requests})
        return
    told = yaml.safe_dump(requests, sort_keys=False, width=100, allow_unicode=True)
    print(f"# {ASSUMED}\n{told}", end="")
