"""Headless Chromium by the DevTools protocol on a pair of pipes: pages as people see them."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def program() -> str:
    """Chromium; where CI demands it, root installs Debian's package, else the test skips."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is not None:
        return found
    demanded = os.environ.get("REQUIRE_SERVERS") == "1"
    if demanded and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
        for command in (["apt-get", "update", "-qq"], [*install, "chromium", "fonts-dejavu-core"]):
            ended = subprocess.run(command, capture_output=True, text=True, timeout=400)
            if ended.returncode != 0:
                pytest.fail(f"{' '.join(command)}: {ended.stderr[-2000:]}")
        return program()
    if demanded:
        pytest.fail("no Chromium, and REQUIRE_SERVERS=1")
    pytest.skip("NO CHROMIUM: install Debian's package chromium to run this test")


def _moved(descriptor: int) -> int:
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 20)
    os.close(descriptor)
    return moved


class Browser:
    """One tab."""

    def __init__(self, chromium: str, profile: Path) -> None:
        down_read, self._down = os.pipe()
        self._up, up_write = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4; ours must not be these
        down_read, up_write = (_moved(end) for end in (down_read, up_write))
        script = f'exec 3<&{down_read} 4>&{up_write}; exec "$0" "$@"'
        self._log = (profile.parent / "chromium.log").open("w+")
        self._process = subprocess.Popen(
            [
                "bash", "-c", script, chromium, "--headless=new", "--remote-debugging-pipe",
                "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--disable-component-update",
                "--hide-scrollbars", "--force-color-profile=srgb", "--disable-lcd-text",
                f"--user-data-dir={profile}", "about:blank",
            ],
            pass_fds=(down_read, up_write),
            stdout=self._log,
            stderr=self._log,
        )  # fmt: skip
        os.close(down_read)
        os.close(up_write)
        self._number, self._received, self._events = 0, b"", list[dict[str, Any]]()
        self._session: str | None = None
        targets = self._ask("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        told = self._ask("Target.attachToTarget", targetId=page, flatten=True)
        self._session = told["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self._ask(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        os.close(self._down)
        os.close(self._up)
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _receive(self, patience_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + patience_s
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._up], [], [], max(0, deadline - time.monotonic()))
            part = os.read(self._up, 1 << 20) if ready else b""
            if not part:
                self._log.seek(0)
                raise AssertionError(f"Chromium says nothing:\n{self._log.read()[-3000:]}")
            self._received += part
        message, _, self._received = self._received.partition(b"\0")
        loaded: dict[str, Any] = json.loads(message)
        return loaded

    def _ask(self, method: str, patience_s: float = 60, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._down, json.dumps(asked).encode() + b"\0")
        while True:
            told = self._receive(patience_s)
            if told.get("id") == self._number:
                assert "error" not in told, f"{method}: {told['error']}"
                result: dict[str, Any] = told["result"]
                return result
            self._events.append(told)

    def open(
        self, url: str, *, width: int, height: int = 900, dark: bool, scale: float = 1
    ) -> None:
        """Open a page in a window of this size."""
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=width < 600,
        )  # fmt: skip
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._ask("Emulation.setEmulatedMedia", features=scheme)
        # a place in the page that is open already would not be loaded anew
        for place in ("about:blank", url):
            self._events.clear()
            self._ask("Page.navigate", url=place)
            deadline = time.monotonic() + 60
            while not any(event.get("method") == "Page.loadEventFired" for event in self._events):
                self._events.append(self._receive(deadline - time.monotonic()))

    def requested(self) -> list[str]:
        """What the page has asked for since it was opened, itself included."""
        return [
            event["params"]["request"]["url"]
            for event in self._events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def value(self, script: str) -> Any:
        """Value of an expression in the page."""
        told = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def wait_for(self, script: str, patience_s: float = 60) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + patience_s
        while not self.value(f"Boolean({script})"):
            assert time.monotonic() < deadline, f"never true: {script}"
            time.sleep(0.1)

    def write(self, selector: str, text: str) -> None:
        """Write into a field as by hand."""
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        self._ask("Input.insertText", text=text)

    def rest(self, seconds: float) -> None:
        """Let the page finish what it draws."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.value("1")
            time.sleep(0.2)

    def screenshot(self, path: Path, *, whole: bool = False) -> Path:
        """A PNG of the window, or of the whole page."""
        options: dict[str, Any] = {"format": "png"}
        if whole:
            size = self._ask("Page.getLayoutMetrics")["cssContentSize"]
            options |= {"captureBeyondViewport": True, "clip": {**size, "scale": 1}}
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", **options)["data"]))
        return path


@contextlib.contextmanager
def browser(scratch: Path) -> Iterator[Browser]:
    """A browser that ends with the block; its profile lies in a scratch directory."""
    opened = Browser(program(), scratch / "profile")
    try:
        yield opened
    finally:
        opened.close()
