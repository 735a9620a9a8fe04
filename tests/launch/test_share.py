"""What rank 0 wrote is on every node, though nodes share no file system."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

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


def test_one_process_needs_nobody(tmp_path: Path) -> None:
    from geovr import distributed

    assert "RANK" not in os.environ
    distributed.share_directory(tmp_path)
