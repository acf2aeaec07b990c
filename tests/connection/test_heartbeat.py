"""A dead link is found, a live one is left alone."""

from __future__ import annotations

import asyncio

import pytest

from kbtui.connection import (
    ConnectionLost,
    ConnectionState,
    LatencyMeasured,
    StateChanged,
    Timeouts,
)
from kbtui.connection.heartbeat import Heartbeat
from kbtui.connection.transport import LinkClosed
from tests.chaos.proxy import ChaosProxy
from tests.chaos.toxics import Timeout
from tests.connection.support import answer, service_for

S = ConnectionState


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_half_open_is_found_within_110_seconds(peer, direction):
    async def slow(connection, call):
        await asyncio.sleep(3000)
        await connection.send(answer(call))

    peer.on_call = slow
    loop = asyncio.get_running_loop()
    async with ChaosProxy(peer.port) as proxy, service_for(proxy.url) as (service, record):
        await service.connect()
        waiting = asyncio.create_task(service.request("a", {}))
        await asyncio.sleep(1)
        getattr(proxy, direction).set(Timeout())
        gone = loop.time()
        with pytest.raises(ConnectionLost, match="answered no ping for 90 s"):
            await waiting
        assert loop.time() - gone <= 110.1
        assert service.state is S.RECONNECTING
        proxy.toxic_free()
        await record.until_state(S.CONNECTED)


async def test_an_idle_hour_is_a_ping_every_20_seconds(peer):
    async with service_for(peer) as (service, record):
        await service.connect()
        await asyncio.sleep(3600)
        assert len(record.of(LatencyMeasured)) in (180, 181)
        assert (service.epoch, service.state) == (1, S.CONNECTED)


async def test_reconnect_now_probes_a_doubtful_link(peer):
    loop = asyncio.get_running_loop()
    async with ChaosProxy(peer.port) as proxy, service_for(proxy.url) as (service, record):
        await service.connect()
        await asyncio.sleep(7)
        service.reconnect_now()
        await asyncio.sleep(7)
        assert service.epoch == 1
        proxy.down.set(Timeout())
        before = loop.time()
        service.reconnect_now()
        await record.until_state(S.RECONNECTING)
        assert loop.time() - before == pytest.approx(5, abs=0.1)
        assert "no ping for 5 s" in record.of(StateChanged)[-1].reason


class FakeLink:
    """Answers pings after `delay` seconds."""

    def __init__(self, delay=0.01):
        self.delay = delay
        self.pings = []
        self.aborted = asyncio.Event()

    async def ping(self):
        self.pings.append(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(self.delay):
                await self.aborted.wait()
        except TimeoutError:
            return self.delay
        raise LinkClosed

    def abort(self):
        self.aborted.set()


async def test_a_jump_of_the_wall_clock_asks_for_a_ping_at_once():
    loop = asyncio.get_running_loop()
    asleep = 0.0
    link = FakeLink()
    heartbeat = Heartbeat(link, Timeouts(), lambda _: None, wall=lambda: loop.time() + asleep)
    running = asyncio.create_task(heartbeat.run())
    await asyncio.sleep(1)
    link.delay = 7.0
    asleep = 8 * 3600.0
    await running
    assert link.pings[1] <= 5
    assert heartbeat.missed == 5


async def test_a_standstill_of_our_own_loop_kills_no_link():
    loop = asyncio.get_running_loop()
    link = FakeLink(delay=90.1)
    heartbeat = Heartbeat(link, Timeouts(), lambda _: None)
    running = asyncio.create_task(heartbeat.run())
    await asyncio.sleep(1)
    loop._jumping.now += 100  # as if a callback had run that long, with the pong unread
    link.delay = 0.1
    await asyncio.sleep(5)
    assert heartbeat.missed is None
    running.cancel()
    await asyncio.wait({running})
