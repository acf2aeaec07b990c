"""The goals of the connection service that take minutes: run with `-m long`.

KBTUI_SEEDS sets how many random lives are lived (the goal is 10,000) and KBTUI_SOAK_HOURS how
long the soak is (720, of virtual time); the defaults fit in minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import random
from pathlib import Path

import pytest

from kbtui.connection import ConnectionService, ConnectionState, Endpoint, KbtuiConnectionError
from tests.chaos.proxy import ChaosProxy
from tests.chaos.toxics import Latency, LimitData, Reset, Timeout
from tests.connection.conftest import DESCRIPTORS
from tests.connection.lives import live
from tests.connection.support import (
    Peer,
    Record,
    mute_websocket,
    raw_server,
    service_for,
)

pytestmark = pytest.mark.long

S = ConnectionState
SEEDS = int(os.environ.get("KBTUI_SEEDS", "300"))
HOURS = int(os.environ.get("KBTUI_SOAK_HOURS", "720"))
MODES = pytest.mark.parametrize("native", [False, True])
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="reads memory from /proc"
)


def now():
    return asyncio.get_running_loop().time()


def resident():
    """This process's memory in MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descriptors():
    return len(os.listdir(DESCRIPTORS))


@MODES
async def test_random_fault_schedules(native):
    for seed in range(1_000_000, 1_000_000 + SEEDS // 2):
        try:
            await live(seed, native)
        except BaseException:
            print(f"seed {seed}")
            raise


@pytest.fixture
def nothing_logged():
    """What is logged pytest keeps, and that would count as growth."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@needs_proc
async def test_soak_with_a_fault_every_ten_minutes(nothing_logged):
    chance = random.Random(1)

    def strike(peer, proxy):
        kind = chance.randrange(5)
        if kind == 0:
            proxy.down.set(Reset())
        elif kind == 1:
            chance.choice([proxy.up, proxy.down]).set(Timeout())
        elif kind == 2:
            proxy.down.set(LimitData(0))
        elif kind == 3:
            proxy.up.set(Latency(chance.uniform(0, 3), 1))
        else:
            for connection in peer.connections:
                connection.transport.abort()

    # A millisecond at each jump of the clock would make a quarter of an hour.
    asyncio.get_running_loop()._jumping.settle = 0
    async with Peer() as peer, ChaosProxy(peer.port) as proxy:
        service = ConnectionService(Endpoint(proxy.url))
        service.start()
        before = before_descriptors = tasks = 0
        for fault in range(HOURS * 6):
            strike(peer, proxy)
            await asyncio.sleep(120)
            proxy.toxic_free()
            await asyncio.sleep(475)
            assert service.state is S.CONNECTED
            assert (await service.request("a", {}, timeout=60)).result == "done"
            # The test's own memory of what there was, and the half-open ends of the server.
            for connection in peer.connections[:-1]:
                connection.transport.abort()
            peer.connections[:-1], peer.calls[:], peer.handshakes[:] = [], [], []
            if fault == 500:
                await asyncio.sleep(1)
                before, before_descriptors = resident(), descriptors()
                tasks = len(asyncio.all_tasks())
        await asyncio.sleep(1)
        grown = (resident() - before, descriptors() - before_descriptors)
        more_tasks = len(asyncio.all_tasks()) - tasks
        await service.aclose()
        assert grown[0] <= 2
        assert grown[1] <= 0
        assert more_tasks <= 0
        assert service.epoch > HOURS


@needs_proc
async def test_5000_reconnects():
    async with Peer() as peer, service_for(peer) as (service, _):
        unsubscribed = Record(service)
        before = before_descriptors = 0
        for number in range(5500):
            await service.connect()
            assert (await service.request("a", {})).result == "done"
            peer.connections[-1].transport.abort()
            await unsubscribed.until_state(S.RECONNECTING)
            service.reconnect_now()
            peer.connections[:-1], peer.calls[:], peer.handshakes[:] = [], [], []
            for record in (unsubscribed, _):
                record.events.clear()
            if number == 500:
                await service.connect()
                before, before_descriptors = resident(), descriptors()
        await service.connect()
        assert resident() - before <= 4
        assert descriptors() <= before_descriptors
        assert service.epoch == 5501


@MODES
async def test_cancel_fuzz(native):
    chance = random.Random(2)

    async def use(service):
        with contextlib.suppress(KbtuiConnectionError):
            await service.connect()
            await asyncio.gather(*(service.request(str(n), {}) for n in range(3)))
            await service.aclose()

    async with Peer(native=native) as peer:
        descriptors_before, tasks_before = descriptors(), asyncio.all_tasks()
        for _ in range(5000):
            service = ConnectionService(Endpoint(peer.url))
            using = asyncio.create_task(use(service))
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            using.cancel()
            await asyncio.gather(using, return_exceptions=True)
            await service.aclose()
            assert not len(service._exchange._pending)
            peer.connections.clear()
        await asyncio.sleep(2)
        gc.collect()
        assert asyncio.all_tasks() == tasks_before
        assert descriptors() == descriptors_before


@MODES
async def test_1000_stalls_kill_no_healthy_link(native):
    chance = random.Random(3)
    loop = asyncio.get_running_loop()
    async with Peer(native=native) as peer, service_for(peer) as (service, _):
        await service.connect()
        for _ in range(1000):
            await asyncio.sleep(chance.uniform(0, 25))
            if chance.random() < 0.5:
                service.reconnect_now()  # a ping is out when the loop stops
                await asyncio.sleep(0)
            loop._jumping.now += chance.choice([0.06, 1, 6, 30, 95, 4000])
        await asyncio.sleep(200)
        assert (service.epoch, service.state) == (1, S.CONNECTED)


async def test_aclose_takes_two_seconds_at_p99_and_five_at_most():
    chance = random.Random(4)
    took = []
    async with Peer() as peer, raw_server(None) as silent, mute_websocket() as mute:
        for _ in range(1000):
            target = chance.choice([peer.url, silent, mute, "nonsense", "ws://127.0.0.1:1/ws"])
            service = ConnectionService(Endpoint(target))
            if chance.random() < 0.95:
                service.start()
            await asyncio.sleep(chance.choice([0, 0.001, 0.1, 5, 50]))
            asking = asyncio.ensure_future(service.request("a", {"text": "x" * 100_000}))
            await asyncio.sleep(chance.choice([0, 0.01]))
            if chance.random() < 0.1:
                await service.drain(0.1)
            before = now()
            await service.aclose()
            took.append(now() - before)
            await asyncio.gather(asking, return_exceptions=True)
    took.sort()
    assert took[int(len(took) * 0.99)] <= 2
    assert took[-1] <= 5
