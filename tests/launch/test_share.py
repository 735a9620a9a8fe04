"""What rank 0 wrote is on every node, though nodes share no file system."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from geovr.artifacts import ClipSet
from geovr.errors import UserError
from geovr.launch.channel import Channel, Told, Work
from tests.workspace import environment

NODE = """
import sys
from pathlib import Path
from geovr import distributed
directory = Path(sys.argv[1])
with distributed.process_group():
    if distributed.rank() == 0:
        (directory / "tables").mkdir(parents=True)
        (directory / "tables/rows").write_bytes(bytes(range(256)))
        (directory / "manifest.json").write_text("{}")
    distributed.share_directory(directory)
    assert (directory / "manifest.json").is_file()
"""


def test_every_node_gets_the_directory(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    nodes = []
    for node in range(2):
        told = {"RANK": str(node), "GROUP_RANK": str(node), "LOCAL_RANK": "0", "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
        place = tmp_path / f"node-{node}"
        nodes.append(
            subprocess.Popen(
                [sys.executable, "-c", NODE, str(place)], env=environment(tmp_path) | told
            )
        )
    assert [process.wait(timeout=120) for process in nodes] == [0, 0]
    first, second = (
        {
            path.relative_to(tmp_path / f"node-{node}").as_posix(): path.read_bytes()
            for path in (tmp_path / f"node-{node}").rglob("*")
            if path.is_file()
        }
        for node in range(2)
    )
    assert first == second and len(first) == 2


def test_a_channel_works_on_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does between a launcher and pods, with inputs read and the output brought back."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="bucket")
        made = tmp_path / "made"
        made.mkdir()
        ClipSet.commit(made, inputs={}, config={}, counts={}, store="s3://bucket", content=1)
        channel = Channel("s3://bucket/store/jobs/geovr-train-1")
        uri = channel.put_input("clips", made)
        channel.start(Work(stage="train", config={}, inputs={"clips": uri}))
        pods = Channel("s3://bucket/store/jobs/geovr-train-1")
        assert ClipSet.load(pods.work().inputs["clips"]).manifest.store == "s3://bucket"
        pods.tell(UserError("x"))
        assert channel.told() == Told(error="UserError", message="x")
        pods.put_output(made)
        channel.get_output(tmp_path / "back")
        assert ClipSet.load(tmp_path / "back").digest == ClipSet.load(made).digest
    finally:
        server.stop()


def test_one_process_needs_nobody(tmp_path: Path) -> None:
    from geovr import distributed

    assert "RANK" not in os.environ
    distributed.share_directory(tmp_path)
