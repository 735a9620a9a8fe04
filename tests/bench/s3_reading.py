"""`python -m tests.bench.s3_reading`: an object of a real S3 server by ranges, and as one stream.

SeaweedFS runs for the time of this program. Each way to it, one that gives a connection so much a
second and one without a limit, is measured with both ways of reading in turn; each pair of turns
gives a ratio of their times.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from rich.table import Table

from geovr.storage import S3Backend, sha256_bytes
from infra.local.processes import free_ports
from infra.local.s3 import BUCKET, start_s3
from tests.bench.pairs import show
from tests.bench.reading import whole
from tests.slow_proxy import Network, slow_proxy

KEY = "bench/object"


def _limited(told: Connection, port: int, bytes_per_s: float) -> None:
    with slow_proxy("127.0.0.1", port, Network(bytes_per_s=bytes_per_s)) as url:
        told.send(url)
        told.recv()


@contextmanager
def limited(port: int, bytes_per_s: float) -> Iterator[str]:
    """A URL that leads to the port; its process is not the reader's, whose time is measured."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_limited, args=(theirs, port, bytes_per_s), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.kill()
        process.join()


def _seconds(read: Callable[[], bytes | None], expected: str) -> float:
    began = time.perf_counter()
    data = read()
    seconds = time.perf_counter() - began
    if sha256_bytes(data or b"") != expected:
        raise SystemExit("other bytes came than were written")
    return seconds


def measure(url: str, rounds: int, expected: str) -> list[tuple[float, float]]:
    """Seconds of one stream and of ranges, in turn."""
    os.environ["AWS_ENDPOINT_URL"] = url
    backend = S3Backend(f"s3://{BUCKET}")
    pairs = []
    for _ in range(rounds + 1):
        stream = _seconds(lambda: whole(backend, KEY), expected)
        pairs.append((stream, _seconds(lambda: backend.read(KEY), expected)))
    return pairs[1:]  # connections are made in the first round


def main() -> None:
    """Measure and print; ends with an error when other bytes come than were written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument(
        "--limit", type=float, default=20.0,
        help="MB/s of a connection; S3 gives about 90, more than 8 of them fit one machine's proxy",
    )  # fmt: skip
    told = parser.parse_args()
    data = np.random.default_rng(0).bytes(told.megabytes * 1_000_000)
    with tempfile.TemporaryDirectory(prefix="geovr-bench-") as directory:
        server = start_s3(Path(directory), free_ports(1)[0], "bench-secret")
        try:
            os.environ |= server.variables
            S3Backend(f"s3://{BUCKET}").write(KEY, data)
            expected = sha256_bytes(data)
            direct = os.environ["AWS_ENDPOINT_URL"]
            with limited(server.port, told.limit * 1e6) as url:
                rows = {
                    f"at most {told.limit:g} MB/s a connection": measure(url, told.rounds, expected)
                }
            rows["no limit, this machine's loopback"] = measure(direct, told.rounds, expected)
        finally:
            server.process.stop()
    table = Table("way to the server", "one stream, s", "by ranges, s", "ratio [range]")
    show(
        table, rows, f"{told.rounds} rounds in turn, an object of {told.megabytes} MB; equal bytes"
    )


if __name__ == "__main__":
    main()
