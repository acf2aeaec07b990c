"""The end: draining and closing, in every state."""

from __future__ import annotations

import asyncio

import pytest

from kbtui.connection import (
    ConnectionLost,
    ConnectionState,
    ServiceClosed,
)
from tests.connection.support import answer, raw_server, service_for

S = ConnectionState


async def test_aclose_cancelled_still_frees_everything(peer):
    async with service_for(peer) as (service, _):
        await service.connect()
        closing = asyncio.create_task(service.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert service.state is S.CLOSED


async def test_drain_waits_for_what_was_sent_and_takes_nothing_new(peer):
    async def slow(connection, call):
        await asyncio.sleep(5)
        await connection.send(answer(call, 1))

    peer.on_call = slow
    async with service_for(peer) as (service, _):
        await service.connect()
        sent = asyncio.create_task(service.request("a", {}))
        queued = asyncio.create_task(service.request("b", {}))
        await asyncio.sleep(0.01)
        await service.drain(60)
        assert service.state is S.DRAINING
        assert (await sent).result == 1
        with pytest.raises(ServiceClosed):
            await queued
        with pytest.raises(ServiceClosed):
            await service.request("c", {})
        assert [call["method"] for call in peer.calls] == ["a"]


async def test_drain_ends_when_the_connection_does(peer):
    peer.on_call = lambda connection, call: asyncio.sleep(3600)
    async with service_for(peer) as (service, _):
        await service.connect()
        sent = asyncio.create_task(service.request("a", {}))
        await asyncio.sleep(0.01)
        draining = asyncio.create_task(service.drain(600))
        await asyncio.sleep(0.01)
        peer.connections[0].transport.abort()
        await draining
        with pytest.raises(ConnectionLost):
            await sent
        await asyncio.sleep(60)
        assert (service.state, len(peer.connections)) == (S.DRAINING, 1)


async def test_waiters_of_connect_learn_of_the_close():
    async with raw_server(None) as url, service_for(url) as (service, _):
        waiting = asyncio.create_task(service.connect())
        await asyncio.sleep(0.01)
        await service.aclose()
        with pytest.raises(ServiceClosed):
            await waiting
