"""How soon a client is back after its server is: this service and stock websockets, paired.

`python -m tests.benchmarks.reconnect_lag [--samples N]`. Real sockets on virtual time: both run
their own code through the same outages; only the waiting is left out. Goals from faults.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from kbtui.connection import ConnectionService, ConnectionState, Endpoint
from tests.connection.support import Peer, Record
from tests.virtual_clock import VirtualClockLoop

GOALS = {1.0: (0.4, 0.9), 5.0: (1.6, 3.6), 30.0: (5.5, 12.1), 300.0: (5.7, 12.5)}
"""Seconds of outage; p50 and p95 of the lag."""


async def _outage(peer: Peer, seconds: float) -> float:
    """Take the server away and bring it back; returns the moment when it is back."""
    await peer.stop()
    await asyncio.sleep(seconds)
    await peer.start()
    return asyncio.get_running_loop().time()


async def ours(outage: float) -> float:
    """The lag of the connection service, in seconds."""
    async with Peer() as peer:
        service = ConnectionService(Endpoint(peer.url))
        record = Record(service)
        await service.connect()
        await asyncio.sleep(60)
        back = await _outage(peer, outage)
        await record.until_state(ConnectionState.CONNECTED)
        lag = asyncio.get_running_loop().time() - back
        await service.aclose()
    return lag


async def stock(outage: float) -> float:
    """The lag of `async for connection in connect(...)`, in seconds."""
    epochs: asyncio.Queue[float] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def client(url: str) -> None:
        async for connection in connect(url, proxy=None):
            epochs.put_nowait(loop.time())
            with contextlib.suppress(ConnectionClosed):
                await connection.recv()

    async with Peer() as peer:
        task = asyncio.create_task(client(peer.url))
        await epochs.get()
        await asyncio.sleep(60)
        back = await _outage(peer, outage)
        lag = await epochs.get() - back
        task.cancel()
        await asyncio.wait({task})
    return lag


def percentiles(values: list[float]) -> tuple[float, float]:
    """p50 and p95."""
    cuts = statistics.quantiles(values, n=20)
    return cuts[9], cuts[18]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100)
    samples = parser.parse_args().samples
    loop = VirtualClockLoop()
    print(f"{'outage':>7}  {'kbtui p50/p95':>15}  {'websockets p50/p95':>19}  ratio  goal")
    for outage, goal in GOALS.items():
        mine, theirs = [], []
        for _ in range(samples):
            mine.append(loop.run_until_complete(ours(outage)))
            theirs.append(loop.run_until_complete(stock(outage)))
        (m50, m95), (t50, t95) = percentiles(mine), percentiles(theirs)
        print(
            f"{outage:>5.0f} s  {m50:>7.2f}/{m95:>5.2f} s  {t50:>9.2f}/{t95:>6.2f} s  "
            f"{t50 / m50:>5.1f}  {goal[0]}/{goal[1]} s"
        )
    loop.close()


if __name__ == "__main__":
    main()
