"""A KFP server that is away, in trouble, strict or another program: named, with the remedy."""

from __future__ import annotations

import socket
import time
import warnings
from pathlib import Path

import pytest

from geovr.errors import UserError
from pipelines.client import server as client
from pipelines.client.failures import Away
from pipelines.client.server import Address, connect
from tests.kfp_server import dropped, failing
from tests.pipelines.cluster import Cluster
from tests.pipelines.conftest import TOKEN


@pytest.mark.parametrize("fault", [failing(500), failing(503), failing(429), dropped])
def test_trouble_that_passes_is_waited_out(cluster: Cluster, fault: object) -> None:
    cluster.server.faults = [fault] * (client.ATTEMPTS - 1)  # type: ignore[list-item]
    assert cluster("status").code == 0


@pytest.mark.parametrize(
    ("fault", "words"), [(failing(502), "502 Bad Gateway: on purpose"), (dropped, "no answer")]
)
def test_trouble_that_stays_is_an_error_after_bounded_tries(
    cluster: Cluster, fault: object, words: str
) -> None:
    cluster.server.faults = [fault] * 100  # type: ignore[list-item]
    told = cluster("status")
    assert told.code == 75 and words in told.err and "same command again" in told.err
    assert len(cluster.server.requests) == client.ATTEMPTS


def test_no_server_at_all(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = cluster("status", "--host", f"http://127.0.0.1:{port}")
    assert told.code == 75 and "KFP_ENDPOINT" in told.err and str(port) in told.err
    monkeypatch.delenv("KFP_ENDPOINT")
    told = cluster("status")
    assert told.code == 2 and "--host" in told.err and "port-forward" in told.err


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "compare its version"),
        (403, "no right to this"),
        (404, "--namespace"),
        (409, "same command again"),
        (302, "sign-in page"),
        (418, "api server"),
    ],
)
def test_refusals_name_the_remedy_and_are_not_tried_again(
    cluster: Cluster, status: int, words: str
) -> None:
    cluster.server.faults = [failing(status)]
    told = cluster("status")
    assert told.code == 2 and words in told.err and str(status) in told.err
    assert len(cluster.server.requests) == 1


def test_tokens_come_from_the_environment_or_a_file_and_are_never_told(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert cluster("status").code == 0
    monkeypatch.setenv("KFP_TOKEN", "wrong-token")
    told = cluster("status")
    assert told.code == 2 and "401" in told.err and "KFP_TOKEN" in told.err
    assert "wrong-token" not in told.err + told.out
    monkeypatch.delenv("KFP_TOKEN")
    assert cluster("status").code == 2
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("KFP_TOKEN_FILE", str(file))
    assert cluster("status").code == 0
    monkeypatch.setenv("KFP_TOKEN_FILE", str(tmp_path / "none"))
    assert "the token can't be read" in cluster("status").err
    # where Kubernetes puts it in a pod
    monkeypatch.delenv("KFP_TOKEN_FILE")
    monkeypatch.setattr(client, "TOKEN_FILE", file)
    assert cluster("status").code == 0
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    shown = cluster.submit("--dry-run")
    assert shown.code == 0 and TOKEN not in shown.out + shown.err


def test_a_token_that_is_renewed_while_a_run_is_waited_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    monkeypatch.delenv("KFP_TOKEN")
    monkeypatch.setenv("KFP_TOKEN_FILE", str(file))
    looked = 0

    def after(method: str, path: str) -> None:
        nonlocal looked
        if method == "GET" and "/runs/" in path:
            looked += 1
            cluster.server.token = f"renewed-{looked}"
            file.write_text(cluster.server.token)
            if looked == 3:
                cluster.state.finish(cluster.state.runs[0])

    cluster.server.after = after
    assert cluster.submit("--wait").code == 0
    assert looked == 4


def test_a_server_that_is_away_for_a_while_does_not_end_the_waiting(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.client import following

    def after(method: str, path: str) -> None:
        if method == "GET" and "/runs/" in path:
            if not cluster.server.faults:
                cluster.server.faults = [failing(503)] * (client.ATTEMPTS + 2)
            cluster.state.finish(cluster.state.runs[0])

    cluster.server.after = after
    told = cluster.submit("--wait")
    assert told.code == 0 and "still waiting" in told.err
    monkeypatch.setattr(following, "PATIENCE_S", 0)
    cluster.server.faults = []

    def away(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/runs"):
            cluster.server.faults = [None] * 1 + [failing(503)] * 100

    cluster.server.after = away
    told = cluster.submit("--wait", "--set", "train.steps=5")
    assert told.code == 75 and "goes on" in told.err and "cancel" in told.err


def test_another_program_at_the_address(cluster: Cluster) -> None:
    def page(handler: object) -> bool:
        handler.reply(200, b"<html>sign in</html>")  # type: ignore[attr-defined]
        return False

    cluster.server.faults = [page]
    told = cluster("status")
    assert told.code == 2 and "not as KFP's API does" in told.err and "/pipeline" in told.err


def test_a_slow_server_is_given_up_on(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_TIMEOUT_S", (0.1, 0.1))
    monkeypatch.setattr(client, "ATTEMPTS", 2)
    cluster.server.latency_s = 0.5
    began = time.monotonic()
    told = cluster("status")
    assert told.code == 75 and "no answer" in told.err
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("kfp.example", "https://kfp.example"),
        ("http://me:secret@kfp.example", "KFP_TOKEN"),
        ("https://kfp.example/?token=secret", "KFP_TOKEN"),
    ],
)
def test_addresses_that_are_refused(host: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        connect(Address(host))
    assert "secret" not in str(refused.value)


def test_tls_that_cannot_be_verified(cluster: Cluster, tmp_path: Path) -> None:
    # plain HTTP where TLS is spoken is one such
    told = cluster("status", "--host", cluster.server.url.replace("http:", "https:"))
    assert told.code == 2 and "SSL" in told.err and "--ca-file" in told.err
    assert "no such file" in cluster("status", "--ca-file", str(tmp_path / "none.pem")).err


def test_nothing_of_kfp_itself_gets_into_the_output_or_the_home(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        told = cluster.submit()
    assert told.err == "" and told.out.count("\n") == 1
    assert list(home.rglob("*")) == []
    assert [one for one in seen if "kfp" in str(one.filename) and "Future" in one.category.__name__
            ] == []  # fmt: skip


def test_an_error_tells_what_was_wanted(cluster: Cluster) -> None:
    server = connect(Address(cluster.server.url))
    cluster.server.faults = [failing(500)] * 100
    with pytest.raises(Away, match="run x: 500"):
        server.ask("run x", server.runs.run_service_get_run, "x")
