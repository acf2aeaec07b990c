"""How fast messages are taken in, paired against bare websockets in one run.

`python -m tests.benchmarks.receive_path [--messages N] [--rounds N]`; the upstream-style client
needs the `bench` extra (pydantic). Goals (faults.md): the service at least 0.8 of bare `recv`, and
at least 4 times the upstream-style client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel
from websockets.asyncio.client import connect

from kbtui.connection import ConnectionEvent, ConnectionService, Endpoint, MessageReceived
from kbtui.protocol.codec import parse_message

WARM_UP = 2000
"""Messages before the watch starts: what had arrived while connecting among them."""
Case = Callable[[str, int], Awaitable[float]]


class ProgressModel(BaseModel):
    """A progress report as a pydantic client declares it."""

    type: str
    stage: float
    status: str
    message: str
    total_stages: int | None = None
    extra: dict[str, Any] | None = None


async def _received(url: str, messages: int, take: Callable[[str | bytes], object]) -> float:
    async with connect(url, ping_interval=None, max_size=2**24, proxy=None) as socket:
        for _ in range(WARM_UP):
            take(await socket.recv())
        began = time.perf_counter()
        for _ in range(messages):
            take(await socket.recv())
        seconds = time.perf_counter() - began
        socket.transport.abort()
    return messages / seconds


async def bare(url: str, messages: int) -> float:
    """websockets' `recv` and nothing else."""
    return await _received(url, messages, lambda raw: None)


async def typed(url: str, messages: int) -> float:
    """`recv` and our typed decoding."""
    return await _received(url, messages, parse_message)


async def upstream(url: str, messages: int) -> float:
    """`recv`, json, pydantic, and two log calls a message."""
    log = logging.getLogger("upstream")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    with open(os.devnull, "w") as sink:
        handler = logging.StreamHandler(sink)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        log.addHandler(handler)

        def take(raw: str | bytes) -> None:
            log.debug("received: %s", raw)
            report = ProgressModel.model_validate(json.loads(raw))
            log.info("stage %s %s: %s", report.stage, report.status, report.message)

        try:
            return await _received(url, messages, take)
        finally:
            log.removeHandler(handler)


async def service(url: str, messages: int) -> float:
    """The connection service, its events delivered to a listener."""
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    seen = 0
    began = 0.0

    def listener(event: ConnectionEvent) -> None:
        nonlocal seen, began
        if type(event) is not MessageReceived:
            return
        if seen == WARM_UP:
            began = time.perf_counter()
        if seen == messages + WARM_UP and not done.done():
            done.set_result(time.perf_counter() - began)
        seen += 1

    under_test = ConnectionService(Endpoint(url))
    under_test.subscribe(listener)
    under_test.start()
    seconds = await done
    closing = asyncio.create_task(under_test.aclose())
    await asyncio.sleep(0)
    closing.cancel()  # the sender never stops to read a close frame
    await asyncio.wait({closing})
    return messages / seconds


CASES: dict[str, Case] = {
    "bare recv": bare,
    "recv + typed decode": typed,
    "connection service": service,
    "upstream style": upstream,
}


async def measure(url: str, messages: int, rounds: int) -> dict[str, list[float]]:
    """Messages a second of each case, round by round; the order turns each round."""
    rates: dict[str, list[float]] = {name: [] for name in CASES}
    names = list(CASES)
    for _ in range(rounds):
        for name in names:
            rates[name].append(await CASES[name](url, messages))
        names = names[1:] + names[:1]
    return rates


def _ratio(rates: dict[str, list[float]], name: str, to: str) -> float:
    return statistics.median(a / b for a, b in zip(rates[name], rates[to], strict=True))


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "tests.benchmarks.sender"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sender:
        assert sender.stdout is not None
        assert sender.stdin is not None
        url = sender.stdout.readline().strip()
        rates = asyncio.run(measure(url, arguments.messages, arguments.rounds))
        sender.stdin.close()
    print(f"{'':22}{'messages/s':>12}{'to bare':>10}{'to upstream':>13}")
    for name, values in rates.items():
        print(
            f"{name:22}{statistics.median(values):>12,.0f}{_ratio(rates, name, 'bare recv'):>10.2f}"
            f"{_ratio(rates, name, 'upstream style'):>13.2f}"
        )
    print("goals: the service at least 0.80 to bare, at least 4.00 to upstream")


if __name__ == "__main__":
    main()
