"""Failing to connect: what is tried again, how often, and what is not."""

from __future__ import annotations

import asyncio

import pytest

from kbtui.connection import (
    ConnectionState,
    ConnectTimeout,
    Endpoint,
    FatalConnectError,
    StateChanged,
)
from tests.connection.support import Peer, service_for

S = ConnectionState


async def test_connect_gives_up_after_its_time_and_the_service_does_not():
    peer = Peer()
    await peer.start()
    await peer.stop()
    async with service_for(peer) as (service, record):
        with pytest.raises(ConnectTimeout, match=r"60 s.*ECONNREFUSED"):
            await service.connect()
        assert asyncio.get_running_loop().time() == pytest.approx(60)
        await peer.start()
        await record.until_state(S.CONNECTED)
        await peer.stop()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/ws", "nonsense", "ws://127.0.0.1:x/ws"])
async def test_a_url_that_is_none_fails_at_once(url):
    async with service_for(url) as (service, _):
        with pytest.raises(FatalConnectError, match="ws://HOST:PORT/ws"):
            await service.connect()


async def test_a_source_is_asked_before_each_attempt(peer):
    asked = 0

    async def source():
        nonlocal asked
        asked += 1
        if asked < 3:
            raise_(asked)
        return Endpoint(peer.url)

    def raise_(number):
        from kbtui.connection import ConnectError

        raise ConnectError(f"not started yet ({number})")

    async with service_for(source) as (service, record):
        await service.connect()
        assert asked == 3
        assert "not started yet (2)" in str([e.reason for e in record.of(StateChanged)])
        peer.connections[-1].transport.abort()
        await record.until_state(S.RECONNECTING)
        await service.connect()
        assert asked == 4


async def test_a_source_may_end_it():
    async def source():
        raise FatalConnectError("Install the server first.")

    async with service_for(source) as (service, _):
        with pytest.raises(FatalConnectError, match="Install the server first"):
            await service.connect()


async def test_a_fault_of_the_source_does_not_end_in_silence():
    async def source():
        raise KeyError("oops")

    async with service_for(source) as (service, record):
        with pytest.raises(FatalConnectError, match="did not expect"):
            await service.connect()
        assert record.of(StateChanged)[-1].attempt == 3
