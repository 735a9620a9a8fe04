"""A server in place of the model: the same questions, files and answers, and what may go wrong."""

from __future__ import annotations

import email.utils
import hashlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from geovr.artifacts import ClipSet
from geovr.data.clips import read_clip
from geovr.errors import Interrupted, UserError
from geovr.evaluation.backend import BackendConfig
from geovr.evaluation.chat_client import ChatClient, _wait_s
from geovr.evaluation.manner import Manner, manner_of
from geovr.evaluation.protocols import protocol_named
from geovr.evaluation.remote import answer_by_server
from geovr.storage import Store
from tests.answers import answer_questions
from tests.chat_server import ChatServer, content_of, plain_transformers, serving, status
from tests.evaluation.test_by_protocol import clips_of, manner, model, sti, vsi
from tests.workspace import environment

__all__ = ["model", "sti", "vsi"]
KEY = "sk-not-to-be-told"


def digest_of(request: dict[str, Any]) -> str:
    """An answer that tells all that came."""
    words, images, first = content_of(request)
    seen = hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest()[:8]
    return f" {len(images)} {seen} {first} {hashlib.sha256(words.encode()).hexdigest()[:8]} \n"


def backend(server: ChatServer, **more: Any) -> BackendConfig:
    values = {"kind": "openai", "base_url": server.base_url, "model": "geovr", "max_retries": 2}
    return BackendConfig.model_validate(values | {"concurrency": 2, **more})


def ask(
    server: ChatServer, clips: ClipSet, how: Manner, root: Path, **more: Any
) -> dict[Any, list[str]]:
    found = answer_by_server(
        Store.open(str(root / "answers")), "evaluation/key", backend(server, **more), clips,
        clips.questions, views=("video",), manner=how,
    )  # fmt: skip
    ids = list(clips.questions["id"])
    assert all([a.id for a in answers] == ids for answers in found.values())
    assert all(answer.nll is None for answers in found.values() for answer in answers)
    return {view: [answer.text for answer in answers] for view, answers in found.items()}


def as_images(clips: ClipSet) -> ClipSet:
    """The same frames, shown as a server is shown them."""
    still = ClipSet(clips.directory, clips.manifest)
    still.__dict__["index"] = clips.index.assign(kind="images")
    return still


@pytest.mark.parametrize("which", ["vsi", "sti"])
def test_a_server_with_the_export_says_what_the_local_backend_says(
    model: Path, which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    clips = request.getfixturevalue(which)
    how = manner(clips, f"{which}-bench/official", max_new_tokens=12)
    wanted = answer_questions(
        model, as_images(clips), clips.questions, numeric="greedy", batch_rows=4, manner=how
    )
    with serving(plain_transformers(model)) as server:
        found = ask(server, clips, how, tmp_path)["video"]
    assert found == [answer.text for answer in wanted] and len(set(found)) > 1
    assert {request["max_tokens"] for request in server.requests} == {12}


def test_what_is_sent_is_the_protocols_words_and_the_clips_frames(
    vsi: ClipSet, sti: ClipSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    how = manner(vsi, "vsi-bench/geovr-paper")
    with serving(digest_of, KEY) as server:
        store = Store.open(str(tmp_path / "a"))
        found = answer_by_server(
            store, "e", backend(server), vsi, vsi.questions, views=("video", "blank", "shuffled"),
            manner=how,
        )  # fmt: skip
    texts = {view: [answer.text for answer in answers] for view, answers in found.items()}
    assert texts["video"] != texts["blank"] != texts["shuffled"] != texts["video"]
    rows = {row.clip_id: row for row in vsi.index.itertuples(index=False)}
    frames = read_clip(vsi.store, rows[vsi.questions["clip_id"][0]]).frames_THWC
    sent = [r for r in server.requests if content_of(r)[0] == (how.prompts or ())[0]]
    images = [content_of(request)[1] for request in sent]
    assert len(sent) == 3 and any(np.array_equal(np.stack(i), frames) for i in images)
    assert any(not np.stack(i).any() for i in images)
    for request in server.requests:
        assert request["model"] == "geovr" and request["stream"] is False
        assert (request["temperature"], request["top_p"], request["top_k"]) == (0.7, 0.8, 20)
        assert request["max_tokens"] == 32 * 1024 and 0 <= request["seed"] < 2**31
        assert request["messages"][0]["content"][-1]["type"] == "text"
    assert len({request["seed"] for request in server.requests}) == 3, "one a question"
    assert server.keys == [f"Bearer {KEY}"] * 9
    official = manner(sti, "sti-bench/official")
    with serving(digest_of) as server:
        ask(server, sti, official, tmp_path / "b", image_format="jpeg")
    assert all(
        request["messages"][0]["content"][0]["type"] == "text" for request in server.requests
    )
    assert all(
        "top_k" not in request and request["temperature"] == 0 for request in server.requests
    )
    _, images_, first = content_of(server.requests[0])
    assert first and len(images_) == 30


def say(server: ChatServer, **more: Any) -> str:
    request = {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}]}]}
    return ChatClient(backend(server, **more)).say(request, "question-7").strip()


def torn(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')


def slow(handler: Any) -> None:
    time.sleep(1.0)
    handler.reply(200, {})


def dripping(handler: Any) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(20):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (status(500), "HTTP 500"),
        (status(503), "HTTP 503"),
        (status(429, Retry_After="0.2"), "HTTP 429"),
        (torn, r"broke off \(IncompleteRead\)"),
        (status(200, b'{"choices": [{"mess'), "no chat completion but"),
        (status(200, {"object": "error"}), "no chat completion but"),
        (slow, "no answer in 0.3 s"),
        (dripping, "no answer in 0.3 s"),
    ],
)
def test_what_passes_is_tried_again_and_what_does_not_names_the_question(
    fault: Any, told: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geovr.evaluation.chat_client.random.uniform", lambda low, high: 0.1)
    caplog.set_level(logging.WARNING, "geovr")
    with serving(lambda request: " yes\n") as server:
        server.faults = [fault]
        assert say(server, timeout_s=0.3) == "yes"
        assert server.seen == 2 and "question question-7" in caplog.text
        server.faults = [fault] * 3
        with pytest.raises(Interrupted, match=f"question-7: .* in 3 tries: .*{told}.*what is left"):
            say(server, timeout_s=0.3)
        assert server.seen == 5


def test_a_server_that_asks_to_wait_is_left_alone_so_long() -> None:
    with serving(lambda request: "yes") as server:
        server.faults = [status(429, Retry_After="1.2")]
        began = time.monotonic()
        assert say(server) == "yes"
        assert time.monotonic() - began >= 1.2
    later = email.utils.formatdate(time.time() + 40, usegmt=True)
    assert 35 < _wait_s(later) <= 40
    assert [_wait_s(text) for text in (None, "soon", "-3", "nan", "1e9")] == [0, 0, 0, 0, 300]


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geovr.evaluation.chat_client.random.uniform", lambda low, high: 0.05)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = BackendConfig(
        kind="openai", base_url=f"http://127.0.0.1:{port}/v1", model="m", max_retries=1
    )
    with pytest.raises(Interrupted, match=r"question q: .* 2 tries: no connection: .*refused"):
        ChatClient(config).say({}, "q")


def test_a_wrong_key_ends_at_once_and_no_key_is_told(
    vsi: ClipSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    with serving(digest_of, "another") as server:
        # the server tells the key back
        with pytest.raises(UserError, match=r"question \S+: .*HTTP 401.*\*\*\*.* MY_KEY") as raised:
            ask(server, vsi, manner(vsi, "vsi-bench/official"), tmp_path, api_key_env="MY_KEY",
                concurrency=1)  # fmt: skip
        assert server.seen == 1
        server.faults = [status(500, {"error": KEY})]
        server.key = KEY
        assert say(server, api_key_env="MY_KEY")
        server.faults = [status(302, Location="http://127.0.0.1:1/elsewhere")]
        with pytest.raises(UserError, match="HTTP 302"):
            say(server, api_key_env="MY_KEY")
        for wrong in ("a\nb", "schlüssel"):
            monkeypatch.setenv("MY_KEY", wrong)
            with pytest.raises(UserError, match=r"^MY_KEY: holds what no key holds") as odd:
                say(server, api_key_env="MY_KEY")
            assert wrong not in str(odd.value)
    assert KEY not in str(raised.value) and KEY not in caplog.text
    assert not list((tmp_path / "answers").rglob("*.json"))


def test_a_server_that_is_no_server_of_ours_is_refused_in_the_config() -> None:
    for values, told in (
        ({"kind": "openai"}, "needs `base_url` and `model`"),
        ({"kind": "openai", "base_url": "http://a/v1"}, "needs `base_url` and `model`"),
        ({"base_url": "file:///etc/passwd"}, "must begin with http"),
        ({"base_url": "http://user:secret@host/v1"}, "no user, password or query"),
        ({"base_url": "http://host/v1?api-key=secret"}, "no user, password or query"),
    ):
        with pytest.raises(ValidationError, match=told):
            BackendConfig.model_validate(values)
    assert BackendConfig(base_url="http://h/v1/").base_url == "http://h/v1"


def copies(clips: ClipSet, count: int) -> ClipSet:
    """Many questions about the clips: three parts of one, and one of the other."""
    many = ClipSet(clips.directory, clips.manifest)
    rows = [clips.questions.assign(id=[f"{name}-{n:02d}" for name in clips.questions["id"]])
            for n in range(count)]  # fmt: skip
    many.__dict__["questions"] = pd.concat(rows, ignore_index=True)
    return many


@pytest.mark.fault(42)
def test_after_a_failure_only_what_is_left_is_asked(vsi: ClipSet, tmp_path: Path) -> None:
    clips = copies(vsi, 20)
    how = manner_of(protocol_named("vsi-bench/official"), clips.questions, clips.index, 0)
    with serving(digest_of) as server:
        whole = ask(server, clips, how, tmp_path / "whole")
        server.requests.clear()
        fail_at = 37
        server.faults = [*[None] * fail_at, status(400)]
        with pytest.raises(UserError, match=r"question \S+-\d\d: .*HTTP 400"):
            ask(server, clips, how, tmp_path, concurrency=1)
        stand = {path: path.read_bytes() for path in (tmp_path / "answers").rglob("*.json")}
        done = len(server.requests)
        assert done == fail_at and 1 <= len(stand) < 4
        server.faults, server.requests = [], []
        assert ask(server, clips, how, tmp_path, concurrency=3) == whole
        kept = sum(data.count(b'"id"') for data in stand.values())
        assert len(server.requests) == len(clips.questions) - kept and kept >= 32
    assert all(path.read_bytes() == data for path, data in stand.items())


PROGRAM = """
import sys
from geovr.artifacts import ClipSet
from geovr.evaluation.backend import BackendConfig
from geovr.evaluation.manner import Manner
from geovr.evaluation.remote import answer_by_server
from geovr.storage import Store

url, directory, answers = sys.argv[1:]
clips = ClipSet.load(directory)
config = BackendConfig(kind="openai", base_url=url, model="m", concurrency=2)
manner = Manner(prompts=list(clips.questions["question"]))
found = answer_by_server(Store.open(answers), "e", config, clips, clips.questions,
                         views=("video",), manner=manner)
print(len(found["video"]))
"""


@pytest.mark.fault(41)
def test_a_kill_half_way_costs_what_was_under_way(vsi: ClipSet, tmp_path: Path) -> None:
    """One clip's part stands, the other's is under way when the process is killed."""
    gate = threading.Event()
    first = vsi.questions["question"][0]

    def held(request: dict[str, Any]) -> str:
        if content_of(request)[0] != first:
            gate.wait(60)
        return "said"

    command = (sys.executable, "-c", PROGRAM)
    with serving(held) as server:
        told = (server.base_url, str(vsi.directory), str(tmp_path / "answers"))
        process = subprocess.Popen([*command, *told], env=environment(tmp_path))
        deadline = time.monotonic() + 120
        while len(list((tmp_path / "answers").rglob("*.json"))) < 1:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        gate.set()
        (stands,) = (tmp_path / "answers").rglob("*.json")
        before = stands.read_bytes()
        time.sleep(0.2)
        server.requests.clear()
        said = subprocess.run(
            [*command, *told], env=environment(tmp_path), capture_output=True, text=True, check=True
        ).stdout
    assert said.strip() == "3" and stands.read_bytes() == before
    asked = [content_of(request)[0] for request in server.requests]
    assert first not in asked and len(asked) == 2


def test_images_come_from_a_benchmark_of_images_as_they_are(tmp_path: Path, model: Path) -> None:
    from tests import published

    published.spbench(tmp_path / "published")
    clips = clips_of(tmp_path, "spbench-mv", "spbench-mv/official")
    how = replace(manner(clips, "spbench-mv/official"), seed=0)
    how = replace(how, generation=how.generation.model_copy(update={"max_new_tokens": 10}))
    wanted = answer_questions(
        model, clips, clips.questions, numeric="greedy", batch_rows=2, manner=how
    )
    with serving(plain_transformers(model)) as server:
        assert ask(server, clips, how, tmp_path)["video"] == [answer.text for answer in wanted]
