"""`python -m tests.bench.reading`: objects from S3 one GET after the other, and as we read them.

The server is a process of its own that answers as S3 does, after 20 ms and with at most 90 MB/s a
connection, which is what S3 gives one. Both ways take turns; each pair of turns gives a ratio of
their times.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
from rich.table import Table

from geovr.data.loader import read_ahead
from geovr.storage import S3Backend, sha256_bytes
from tests.bench.pairs import show

BUCKET = "bench"
LATENCY_S, BYTES_PER_S = 0.02, 90e6
LARGE, LARGE_BYTES = 2, 53_000_000
"""About the targets of one clip of 32 frames (python -m tests.bench.targets)."""
SMALL, SMALL_BYTES = 32, 1_000_000
WORKERS, AHEAD = 2, 8
_PIECE = 1 << 18


@dataclass(frozen=True)
class ReadOne:
    """Step -> the digest of an object: what a reading process does, but for decoding."""

    backend: S3Backend

    def __call__(self, step: int) -> str:
        return digest(self.backend.read(small(step % SMALL)))


def digest(data: bytes | None) -> str:
    return sha256_bytes(data or b"")


def large(number: int) -> str:
    return f"large/{number}"


def small(number: int) -> str:
    return f"small/{number}"


def whole(backend: S3Backend, key: str) -> bytes:
    """The plain way: one GET."""
    answer = backend.client.get_object(Bucket=backend.bucket, Key=key)
    return bytes(answer["Body"].read())


class Server:
    """What S3 answers to GET, with a latency and a bandwidth a connection.

    A server for tests spends more time on a range than on its bytes, which would be measured.
    """

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await asyncio.sleep(LATENCY_S)
                await self._answer(head, writer)
        writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        data = memoryview(self.objects[head.split(" ", 2)[1]])
        status, size = "200 OK", len(data)
        told = f'ETag: "{size}"\r\n'
        if asked := re.search(r"(?im)^range: bytes=(\d+)-(\d+)", head):
            start, end = int(asked[1]), min(int(asked[2]), size - 1)
            data, status = data[start : end + 1], "206 Partial Content"
            told += f"Content-Range: bytes {start}-{end}/{size}\r\n"
        writer.write(f"HTTP/1.1 {status}\r\n{told}Content-Length: {len(data)}\r\n\r\n".encode())
        began = time.perf_counter()
        for sent in range(0, len(data), _PIECE):
            writer.write(data[sent : sent + _PIECE])
            await writer.drain()
            due = began + (sent + _PIECE) / BYTES_PER_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))


def _serve(told: Connection) -> None:
    random = np.random.default_rng(0)
    sizes = {large(n): LARGE_BYTES for n in range(LARGE)}
    sizes |= {small(n): SMALL_BYTES for n in range(SMALL)}
    server = Server({f"/{BUCKET}/{key}": random.bytes(size) for key, size in sizes.items()})

    async def run() -> None:
        listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
        told.send(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        await listening.serve_forever()

    asyncio.run(run())


@contextmanager
def _process(target: Callable[[Connection], None]) -> Iterator[str]:
    """A process for the time of the block, and the first thing that it says."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


Turn = tuple[float, list[str]]
"""Seconds, and the digests of what was read."""


def _large_turn(read: Callable[[str], bytes | None]) -> Turn:
    began = time.perf_counter()
    found = [digest(read(large(number))) for number in range(LARGE)]
    return time.perf_counter() - began, found


def _small_turn(backend: S3Backend) -> Turn:
    began = time.perf_counter()
    found = [digest(whole(backend, small(number))) for number in range(SMALL)]
    return time.perf_counter() - began, found


def _ahead_turn(read: Iterator[str]) -> Turn:
    """In steady state: as much is read ahead when the clock starts as when it stops."""
    for _ in range(AHEAD):
        next(read)
    began = time.perf_counter()
    found = [next(read) for _ in range(SMALL)]
    seconds = time.perf_counter() - began
    for _ in range(SMALL - AHEAD):  # the next turn begins with object 0 again
        next(read)
    time.sleep(0.5)  # what is still read ahead must not slow the other way down
    return seconds, found[-AHEAD:] + found[:-AHEAD]


def _compare(
    rounds: int, plain: Callable[[], Turn], ours: Callable[[], Turn]
) -> list[tuple[float, float]]:
    """Seconds of each way in turn; every turn must read the same bytes."""
    pairs = []
    for _ in range(rounds):
        (one, expected), (other, found) = plain(), ours()
        if found != expected:
            raise SystemExit("the two ways read different bytes")
        pairs.append((one, other))
    return pairs


def main() -> None:
    """Measure and print; ends with an error when the two ways read different bytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with _process(_serve) as url:
        os.environ |= {
            "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip
        backend = S3Backend(f"s3://{BUCKET}")
        by_ranges = _compare(
            rounds,
            lambda: _large_turn(lambda key: whole(backend, key)),
            lambda: _large_turn(backend.read),
        )
        steps = 2 * SMALL * rounds
        with read_ahead(ReadOne(backend), 0, steps, workers=WORKERS, ahead=AHEAD) as read:
            ahead = _compare(rounds, lambda: _small_turn(backend), lambda: _ahead_turn(read))
    rows = {
        f"{LARGE} of {LARGE_BYTES / 1e6:.0f} MB, by ranges": by_ranges,
        f"{SMALL} of {SMALL_BYTES / 1e6:.0f} MB, {WORKERS} processes ahead": ahead,
    }
    table = Table("objects, our way", "one GET after the other, s", "ours, s", "ratio [range]")
    show(
        table,
        rows,
        f"{rounds} rounds in turn, {LATENCY_S * 1e3:.0f} ms and at most {BYTES_PER_S / 1e6:.0f}"
        " MB/s a connection; equal bytes",
    )


if __name__ == "__main__":
    main()
