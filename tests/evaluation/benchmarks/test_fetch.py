"""`fetch` with the hub's real client against a small server that answers as the hub does."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from geovr.evaluation.benchmarks.lock import read_lock
from tests import published
from tests.workspace import environment

REPO, REVISION = "nyu-visionx/VSI-Bench", "c" * 40
CANARY = "canary-5d1e0b77"


class Hub:
    """A data set of the hub: files by name, and what was asked of it."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[tuple[str, str, str | None]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(body=False)

            def do_GET(self) -> None:
                self._answer(body=True)

            def _answer(self, body: bool) -> None:
                path = unquote(self.path.split("?")[0])
                hub.asked.append((self.command, path, self.headers.get("Authorization")))
                status, headers, data = hub.answer(path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if body:
                    self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        prefix = f"/datasets/{REPO}/resolve/{REVISION}/"
        if path.startswith(f"/api/datasets/{REPO}/tree/{REVISION}"):
            rows = [
                {"type": "file", "path": name, "size": len(data), "oid": self._oid(data)}
                for name, data in self.files.items()
            ]
            return 200, {"Content-Type": "application/json"}, json.dumps(rows).encode()
        if path.startswith(f"/api/datasets/{REPO}"):
            told = {
                "id": REPO, "sha": REVISION, "private": False, "tags": [], "downloads": 0,
                "likes": 0, "siblings": [{"rfilename": name} for name in self.files],
            }  # fmt: skip
            return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()
        name = path.removeprefix(prefix)
        if path.startswith(prefix) and name in self.files:
            data = self.files[name]
            return 200, {"ETag": f'"{self._oid(data)}"', "X-Repo-Commit": REVISION}, data
        return 404, {"X-Error-Code": "EntryNotFound"}, b""

    @staticmethod
    def _oid(data: bytes) -> str:
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    rows = "".join(json.dumps(row) + "\n" for row in published.vsi_rows()).encode()
    video = published.video_bytes(tmp_path)
    served = Hub(
        {
            "test.jsonl": rows,
            "pruned_ids.txt": b"1\n",
            "README.md": b"# a card",
            "scannet.zip": published.zipped(
                tmp_path / "made/scannet.zip", {"scannet/scene0011_00.mp4": video}
            ).read_bytes(),
            "arkitscenes.zip": published.zipped(
                tmp_path / "made/arkitscenes.zip", {"arkitscenes/41069025.mp4": video}
            ).read_bytes(),
        }
    )
    yield served
    served.server.shutdown()


def fetch(
    root: Path, hub: Hub, *arguments: str, name: str = "vsi-bench-debiased", **variables: str
) -> subprocess.CompletedProcess[str]:
    settings = {
        "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(root / "cache"), "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "geovr", "benchmark", "fetch", name, "--output", "vsi", *arguments],
        cwd=root, env=environment(root) | settings | variables, capture_output=True, text=True,
        timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_benchmark_is_fetched_unpacked_recorded_and_verified(tmp_path: Path, hub: Hub) -> None:
    done = fetch(tmp_path, hub, "--accept-licence", "--json", HF_TOKEN=CANARY)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["revision"], told["count"]) == (REVISION, 2)
    root = tmp_path / "vsi"
    assert (root / "scannet/scene0011_00.mp4").stat().st_size > 0
    assert not (root / "README.md").exists(), "only what is needed is fetched"
    lock = read_lock(root)
    assert lock is not None and lock.revision == REVISION
    assert {"test.jsonl", "scannet.zip", "scannet/scene0011_00.mp4"} <= set(lock.files)
    assert f"Bearer {CANARY}" in {token for _, _, token in hub.asked}
    held = [p for p in tmp_path.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()]
    assert held == [] and CANARY not in done.stdout + done.stderr
    before = len(hub.asked)
    again = fetch(tmp_path, hub, "--accept-licence")
    assert again.returncode == 0, again.stderr
    fetched = [path for verb, path, _ in hub.asked[before:] if verb == "GET" and "resolve" in path]
    assert fetched == [], "what is there is not downloaded again"
    assert {token for _, _, token in hub.asked[before:]} == {None}
    assert "unpack " in done.stderr and "unpack " not in again.stderr
    (root / "scannet/scene0011_00.mp4").unlink()
    third = fetch(tmp_path, hub, "--accept-licence")
    assert "unpack scannet.zip" in third.stderr and "arkitscenes" not in third.stderr
    assert (root / "scannet/scene0011_00.mp4").is_file()


def test_nothing_is_asked_of_the_hub_before_the_licence_is_accepted(
    tmp_path: Path, hub: Hub
) -> None:
    done = fetch(tmp_path, hub)
    assert done.returncode == 2
    assert "licence  Apache-2.0" in done.stderr and "ScanNet++" in done.stderr
    assert "--accept-licence" in done.stderr
    assert hub.asked == [] and not (tmp_path / "vsi").exists()


def test_an_offline_machine_is_told_how_to_go_online(tmp_path: Path, hub: Hub) -> None:
    done = fetch(tmp_path, hub, "--accept-licence", HF_HUB_OFFLINE="1")
    assert done.returncode == 2 and "HF_HUB_OFFLINE=0" in done.stderr
    assert hub.asked == []


def test_what_the_hub_does_not_have_is_told_with_the_remedy(tmp_path: Path, hub: Hub) -> None:
    done = fetch(tmp_path, hub, "--accept-licence", name="mmsi-bench")
    assert done.returncode == 2
    assert "RunsenXu/MMSI-Bench@newest: can't be fetched" in done.stderr
    assert "HF_TOKEN" in done.stderr and "Traceback" not in done.stderr


def test_a_pinned_revision_that_the_hub_answers_with_another_is_refused(
    tmp_path: Path, hub: Hub
) -> None:
    done = fetch(tmp_path, hub, "--accept-licence", name="vsi-bench")
    assert done.returncode == 2 and f"the hub gives {REVISION}" in done.stderr
    assert not list((tmp_path / "vsi").glob("*.zip"))


def test_what_came_without_its_media_is_told(tmp_path: Path, hub: Hub) -> None:
    del hub.files["scannet.zip"]
    done = fetch(tmp_path, hub, "--accept-licence")
    assert done.returncode == 2
    assert "1 of 1 media are missing: scannet/scene0011_00.mp4" in done.stderr
