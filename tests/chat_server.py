"""A small server that speaks the chat-completions API, and can fail on purpose."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Say = Callable[[dict[str, Any]], str]
Fault = Callable[["_Handler"], None]


class ChatServer(ThreadingHTTPServer):
    """Answers by a function of the request.

    Attributes:
        faults: what happens to the next requests instead of an answer, the first one first; None
            where nothing does.
        requests: those that were answered.
        seen: number of requests, with those that failed.
        keys: Authorization headers that came.
    """

    daemon_threads = True

    def __init__(self, say: Say, key: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.say, self.key = say, key
        self.faults: list[Fault | None] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.seen = 0
        self.lock = threading.Lock()

    @property
    def base_url(self) -> str:
        """For BackendConfig."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        with server.lock:
            server.seen += 1
            server.keys.append(self.headers.get("Authorization"))
            fault = server.faults.pop(0) if server.faults else None
        if fault is not None:
            fault(self)
        elif server.key is not None and self.headers.get("Authorization") != f"Bearer {server.key}":
            self.reply(401, {"error": f"wrong key {self.headers.get('Authorization')}"})
        elif self.path != "/v1/chat/completions":
            self.reply(404, {"error": "no such path"})
        else:
            request = json.loads(body)
            text = server.say(request)
            with server.lock:
                server.requests.append(request)
            self.reply(200, {"choices": [{"message": {"role": "assistant", "content": text}}]})

    def reply(self, status: int, content: Any, **headers: str) -> None:
        """Send an answer."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Nothing is told."""


def status(code: int, content: Any = None, **headers: str) -> Fault:
    """An answer with this status."""
    return lambda handler: handler.reply(code, content or {"error": "on purpose"}, **headers)


@contextmanager
def serving(say: Say, key: str | None = None) -> Iterator[ChatServer]:
    """A server in a thread, for as long as the block runs."""
    server = ChatServer(say, key)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def content_of(request: dict[str, Any]) -> tuple[str, list[np.ndarray], bool]:
    """Words and images of a request, and whether the words come first."""
    parts = request["messages"][0]["content"]
    (words,) = [part["text"] for part in parts if part["type"] == "text"]
    images = []
    for part in parts:
        if part["type"] == "image_url":
            data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
            images.append(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    return words, images, parts[0]["type"] == "text"


def plain_transformers(directory: Path) -> Say:
    """A model served by nothing but transformers, one request at a time."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(directory, local_files_only=True).eval()
    processor = AutoProcessor.from_pretrained(directory, local_files_only=True)
    lock = threading.Lock()

    def say(request: dict[str, Any]) -> str:
        words, images, first = content_of(request)
        asked, shown = [{"type": "text", "text": words}], [{"type": "image"}] * len(images)
        text = processor.apply_chat_template(
            [{"role": "user", "content": asked + shown if first else shown + asked}],
            tokenize=False, add_generation_prompt=True,
        )  # fmt: skip
        frames = [torch.from_numpy(image.copy()).permute(2, 0, 1) for image in images]
        with lock:
            inputs = processor(text=[text], images=frames, return_tensors="pt")
            assert request["temperature"] == 0
            said = model.generate(
                **inputs, do_sample=False, max_new_tokens=request["max_tokens"],
                repetition_penalty=request.get("repetition_penalty", 1.0),
            )  # fmt: skip
        new = said[0, inputs["input_ids"].shape[1] :]
        told: str = processor.tokenizer.decode(new, skip_special_tokens=True)
        return told

    return say
