"""One request at a time on a KBV2 connection, in the order of asking."""

from __future__ import annotations

import asyncio

import pytest

from kbtui.connection import (
    ConnectionState,
    LateAnswer,
    NotConnected,
    RequestTimeout,
)
from tests.connection.support import Peer, answer, service_for

S = ConnectionState


def silent(connection, call):
    return asyncio.sleep(36_000)


async def test_kbv2_has_one_request_on_the_wire_in_the_order_of_asking(peer):
    async def slow(connection, call):
        assert len(peer.calls) == 1 + int(call["method"])
        await asyncio.sleep(5)
        await connection.send(answer(call))

    peer.on_call = slow
    async with service_for(peer) as (service, _):
        await service.connect()
        await asyncio.gather(*(service.request(str(n), {}) for n in range(10)))
        assert [call["method"] for call in peer.calls] == [str(n) for n in range(10)]


@pytest.mark.parametrize("how", ["timeout", "cancel"])
async def test_kbv2_stays_busy_until_the_late_answer(peer, how):
    async def slow_first(connection, call):
        if call["method"] == "slow":
            await asyncio.sleep(100)
        await connection.send(answer(call))

    peer.on_call = slow_first
    async with service_for(peer) as (service, record):
        await service.connect()
        first = asyncio.create_task(service.request("slow", {}, timeout=10))
        await asyncio.sleep(1)
        if how == "cancel":
            first.cancel()
        second = asyncio.create_task(service.request("next", {}))
        with pytest.raises(RequestTimeout) as timeout:
            await service.request("impatient", {}, timeout=20)
        assert not timeout.value.sent
        with pytest.raises(RequestTimeout if how == "timeout" else asyncio.CancelledError):
            await first
        assert [call["method"] for call in peer.calls] == ["slow"]
        assert (await second).result == "done"
        assert asyncio.get_running_loop().time() == pytest.approx(100, abs=1)
        assert [call["method"] for call in peer.calls] == ["slow", "next"]
        assert len(record.of(LateAnswer)) == 1


async def test_kbv2_is_free_again_after_a_close(peer):
    peer.on_call = silent
    async with service_for(peer) as (service, _):
        await service.connect()
        with pytest.raises(RequestTimeout):
            await service.request("a", {}, timeout=10)
        waiting = asyncio.create_task(service.request("b", {}))
        await asyncio.sleep(1)
        peer.connections[0].transport.abort()
        with pytest.raises(NotConnected):
            await waiting
        del peer.on_call
        peer.on_call = Peer().on_call
        await service.connect()
        assert (await service.request("c", {})).result == "done"
        assert [call["method"] for call in peer.calls] == ["a", "c"]


async def test_a_request_that_waits_for_its_turn_can_be_cancelled_without_a_trace(peer):
    async def slow(connection, call):
        await asyncio.sleep(10)
        await connection.send(answer(call))

    peer.on_call = slow
    async with service_for(peer) as (service, record):
        await service.connect()
        calls = [asyncio.create_task(service.request(m, {})) for m in "abc"]
        await asyncio.sleep(1)
        calls[1].cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert [call["method"] for call in peer.calls] == ["a", "c"]
        assert not record.of(LateAnswer)


async def test_kbv2_is_free_after_a_late_error_without_an_id(peer):
    async def unreadable_late(connection, call):
        await asyncio.sleep(20)
        await connection.send('{"result":null,"error":"cannot be parsed","id":null}')

    peer.on_call = unreadable_late
    async with service_for(peer) as (service, record):
        await service.connect()
        with pytest.raises(RequestTimeout):
            await service.request("a", {}, request_id="first", timeout=10)
        second = await service.request("b", {}, request_id="second", timeout=30)
        assert second.id == "second"
        assert [late.response.id for late in record.of(LateAnswer)] == ["first"]
