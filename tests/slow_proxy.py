"""A network between a client and a server of this machine: latency, bandwidth, lost connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_PIECE = 1 << 16


@dataclass
class Network:
    """What the next connections are like; may be changed at any time."""

    latency_s: float = 0.0
    """From a request to its answer."""
    bytes_per_s: float | None = None
    """Of answers, for each connection."""
    lost_after: list[int] | None = None
    """Each number ends one connection after so many bytes of answers."""


@contextmanager
def slow_proxy(host: str, port: int, network: Network) -> Iterator[str]:
    """A URL that leads to host:port through the network."""
    loop = asyncio.new_event_loop()
    ready: asyncio.Future[int] = loop.create_future()

    async def requests(client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while piece := await client.read(_PIECE):
            await asyncio.sleep(network.latency_s)
            server.write(piece)
            await server.drain()

    async def answers(server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        passed = 0
        while piece := await server.read(_PIECE):
            if network.lost_after and passed + len(piece) > network.lost_after[0]:
                client.write(piece[: network.lost_after.pop(0) - passed])
                await client.drain()
                return
            passed += len(piece)
            client.write(piece)
            await client.drain()
            if network.bytes_per_s is not None:
                await asyncio.sleep(len(piece) / network.bytes_per_s)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(host, port)
        ways = [
            asyncio.ensure_future(requests(reader, up_writer)),
            asyncio.ensure_future(answers(up_reader, writer)),
        ]
        with suppress(OSError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        up_writer.close()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        ready.set_result(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()

    def work() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    task = loop.create_task(run())
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        bound = asyncio.run_coroutine_threadsafe(asyncio.wait_for(ready, 30), loop).result()
        yield f"http://127.0.0.1:{bound}"
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
