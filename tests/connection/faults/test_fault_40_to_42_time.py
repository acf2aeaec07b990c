"""Faults 40 to 42: the machine sleeps, the process is stopped, our own loop stands still."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from kbtui.connection import ConnectionState, LatencyMeasured, StateChanged
from tests.chaos.proxy import ChaosProxy
from tests.chaos.toxics import Latency, Timeout
from tests.connection.support import Peer, service_for
from tests.virtual_clock import VirtualClockLoop

S = ConnectionState


def now():
    return asyncio.get_running_loop().time()


class Wall:
    """A wall clock that goes with the loop's, but for what it is put forward."""

    def __init__(self):
        self.ahead = 1e9

    def __call__(self):
        return now() + self.ahead


def stand_still(seconds):
    """As if one callback of the loop had run for so long."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    loop._jumping.now += seconds


@pytest.mark.parametrize("jump", [8 * 3600, 6, -3600])
async def test_fault_40_a_link_that_died_in_the_suspend_is_found_in_seconds(peer, jump):
    wall = Wall()
    async with ChaosProxy(peer.port) as proxy, service_for(proxy.url, wall=wall) as (_, record):
        await record.service.connect()
        await asyncio.sleep(7)
        proxy.up.set(Timeout())
        wall.ahead += jump
        before = now()
        await record.until_state(S.RECONNECTING)
        assert now() - before <= 4 + 5 + 0.1
        assert "no ping for 5 s" in record.of(StateChanged)[-1].reason


async def test_fault_40_a_link_that_lived_through_it_is_kept(peer):
    wall = Wall()
    async with service_for(peer, wall=wall) as (service, record):
        await service.connect()
        for _ in range(50):
            await asyncio.sleep(30)
            pings = len(record.of(LatencyMeasured))
            wall.ahead += 3600
            await asyncio.sleep(4.1)
            assert len(record.of(LatencyMeasured)) > pings
        assert (service.epoch, service.state) == (1, S.CONNECTED)


async def test_fault_40_a_clock_that_is_set_a_little_is_no_suspend(peer):
    wall = Wall()
    async with service_for(peer, wall=wall) as (service, record):
        await service.connect()
        for _ in range(100):
            wall.ahead += 4.9
            await asyncio.sleep(4)
        assert len(record.of(LatencyMeasured)) <= 22


async def test_fault_41_a_stop_of_the_process_is_found_like_a_suspend(peer):
    # While a process is stopped wall and monotonic clock both go on.
    async with ChaosProxy(peer.port) as proxy, service_for(proxy.url) as (service, record):
        await service.connect()
        await asyncio.sleep(30)
        stand_still(40)
        await asyncio.sleep(1)
        assert service.state is S.CONNECTED
        proxy.down.set(Timeout())
        stand_still(40)
        before = now()
        await record.until_state(S.RECONNECTING)
        assert now() - before <= 5.3


CLIENT = """
import asyncio, sys
from kbtui.connection import ConnectionService, Endpoint, StateChanged, LatencyMeasured, Timeouts

async def main():
    service = ConnectionService(Endpoint(sys.argv[1]), timeouts=Timeouts(ping_interval=3600))
    def tell(event):
        if isinstance(event, StateChanged):
            print(event.state, event.epoch, flush=True)
        elif isinstance(event, LatencyMeasured):
            print("pong", event.epoch, flush=True)
    service.subscribe(tell)
    service.start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.long
@pytest.mark.parametrize("native", [False, True])
def test_fault_41_a_real_process_asks_at_once_after_sigcont(native):
    """Pings are an hour apart there: the second pong can only be the probe's."""

    async def play():
        async with Peer(native=native) as peer:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", CLIENT, peer.url), stdout=subprocess.PIPE
            )
            assert child.stdout is not None

            async def heard(line):
                async with asyncio.timeout(30):
                    while (await child.stdout.readline()).decode().strip() != line:
                        pass

            try:
                await heard("pong 1")
                os.kill(child.pid, signal.SIGSTOP)
                await asyncio.sleep(6)
                os.kill(child.pid, signal.SIGCONT)
                await heard("pong 1")
                assert peer.open == 1
            finally:
                child.kill()
                await child.wait()

    asyncio.run(play())


@pytest.mark.parametrize("stall", [0.3, 5, 95, 3600])
async def test_fault_42_a_standstill_of_our_own_loop_kills_no_healthy_link(peer, stall):
    async with ChaosProxy(peer.port) as proxy, service_for(proxy.url) as (service, record):
        await service.connect()
        for moment in range(40):
            await asyncio.sleep(moment / 2)
            stand_still(stall)
        # With the pong of a ping that is out unread in the socket:
        proxy.down.set(Latency(2))
        for _ in range(10):
            service.reconnect_now()
            await asyncio.sleep(1.9)
            stand_still(stall)
            await asyncio.sleep(0.3)
        proxy.down.set()
        await asyncio.sleep(200)
        assert (service.epoch, service.state) == (1, S.CONNECTED)
        assert record.states == [S.CONNECTING, S.CONNECTED]
