"""A dead link is found, a live one is left alone."""

from __future__ import annotations

import asyncio

import pytest

from kbtui.connection import (
    ConnectionState,
    LatencyMeasured,
    StateChanged,
)
from tests.chaos.proxy import ChaosProxy
from tests.chaos.toxics import Timeout
from tests.connection.support import service_for

S = ConnectionState


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
