"""Faults 12 to 22: a connection that stood is lost, for one reason or another."""

from __future__ import annotations

import asyncio
import random

import pytest

from kbtui.connection import (
    ConnectionLost,
    ConnectionState,
    FrameDropped,
    NotConnected,
    SendFailed,
    StateChanged,
)
from tests.chaos.proxy import ChaosProxy
from tests.chaos.toxics import LimitData, Reset, Timeout
from tests.connection.support import answer, mute_websocket, service_for

S = ConnectionState


def now():
    return asyncio.get_running_loop().time()


def silent(connection, call):
    return asyncio.sleep(36_000)


def closing_with(code):
    async def close(connection, call):
        # 1005 stands for a close frame without a code.
        connection.protocol.send_close(None if code == 1005 else code)
        connection.send_data()

    return close


def waits(record):
    return [e.retry_in for e in record.of(StateChanged) if e.retry_in is not None]


async def interrupted(service, code):
    """One request; it must be interrupted with `code`, at once."""
    sent = []
    before = now()
    with pytest.raises(ConnectionLost) as lost:
        await service.request("a", {}, on_sent=sent.append)
    assert now() - before <= 0.1
    assert (lost.value.epoch, lost.value.code) == (service.epoch, code)
    assert sent == [service.epoch]


@pytest.mark.parametrize("how", ["RST", "EOF", "abort"])
async def test_fault_12_the_connection_breaks(peer, how):
    async with ChaosProxy(peer.port) as proxy, service_for(proxy.url) as (service, record):
        await service.connect()

        async def drop(connection, call):
            if how == "RST":
                proxy.down.set(Reset())
            elif how == "EOF":
                proxy.down.set(LimitData(0))
                await connection.send(answer(call))
            else:
                connection.transport.abort()

        peer.on_call = drop
        await interrupted(service, 1006)
        assert service.state is S.RECONNECTING
        with pytest.raises(NotConnected):
            await service.request("b", {})
        proxy.toxic_free()
        await service.connect()
        assert service.epoch == 2
        assert record.states == [S.CONNECTING, S.CONNECTED, S.RECONNECTING, S.CONNECTED]
        assert len(peer.calls) == 1, "nothing is sent again by itself"


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_fault_13_half_open_is_found_within_110_seconds(peer, direction):
    async def slow(connection, call):
        await asyncio.sleep(3000)
        await connection.send(answer(call))

    peer.on_call = slow
    async with ChaosProxy(peer.port) as proxy, service_for(proxy.url) as (service, record):
        await service.connect()
        waiting = asyncio.create_task(service.request("a", {}))
        await asyncio.sleep(1)
        getattr(proxy, direction).set(Timeout())
        gone = now()
        with pytest.raises(ConnectionLost, match="answered no ping for 90 s"):
            await waiting
        assert now() - gone <= 110.1
        assert service.state is S.RECONNECTING
        proxy.toxic_free()
        await record.until_state(S.CONNECTED)


NOISE = random.Random(1).randbytes(7 * 1024 * 1024).hex()  # does not compress away


@pytest.mark.parametrize("native", [False, True])
async def test_fault_14_a_network_that_takes_no_data_fails_the_send_and_the_link(native):
    async with mute_websocket(native=native) as url, service_for(url) as (service, record):
        await service.connect()
        with pytest.raises(SendFailed, match="within 10 s"):
            await service.request("a", {"text": NOISE})
        assert now() == pytest.approx(10, abs=0.1)
        await record.until_state(S.RECONNECTING)


async def survives(peer, code):
    """A close with `code` interrupts, and the connection comes back; returns the first wait."""
    peer.on_call = closing_with(code)
    async with service_for(peer) as (service, record):
        await service.connect()
        await interrupted(service, code)
        assert service.state is S.RECONNECTING
        wait = waits(record)[0]
        await service.connect()
        assert service.epoch == 2
        assert len(peer.calls) == 1
        return wait


@pytest.mark.parametrize("code", [1000, 1001, 1005, 3000])
async def test_fault_15_an_orderly_close_is_never_the_end_of_it(peer, code):
    assert 0.125 <= await survives(peer, code) <= 0.25


@pytest.mark.parametrize("code", [1002, 1003, 1007])
async def test_fault_16_three_protocol_errors_in_five_minutes_are_enough(peer, code):
    peer.on_call = closing_with(code)
    async with service_for(peer) as (service, record):
        for number in range(3):
            await service.connect()
            await interrupted(service, code)
            assert service.state is (S.FAILED if number == 2 else S.RECONNECTING)
            await asyncio.sleep(100)
        assert "check both versions" in record.of(StateChanged)[-1].reason
        assert len(peer.connections) == 3


async def test_fault_16_protocol_errors_now_and_then_are_not(peer):
    peer.on_call = closing_with(1002)
    async with service_for(peer) as (service, _):
        for _ in range(10):
            await service.connect()
            await interrupted(service, 1002)
            await asyncio.sleep(151)
        assert service.state is S.CONNECTED


@pytest.mark.parametrize("code", [1008, 4401, 4403])
async def test_fault_17_a_refusal_ends_it_until_the_user_acts(peer, code):
    peer.on_call = closing_with(code)
    async with service_for(peer) as (service, record):
        await service.connect()
        await interrupted(service, code)
        assert service.state is S.FAILED
        assert "check the token" in record.of(StateChanged)[-1].reason
        await asyncio.sleep(3600)
        assert len(peer.connections) == 1
        service.reconnect_now()
        await record.until_state(S.CONNECTED)
        assert service.epoch == 2


async def test_fault_18_the_server_finds_the_request_too_large(peer):
    assert await survives(peer, 1009) <= 0.25


async def test_fault_18_an_answer_over_the_limit_is_an_error_of_its_own(peer):
    async def huge(connection, call):
        await connection.send(answer(call, "x" * (16 * 1024 * 1024 + 1)))

    peer.on_call = huge
    async with service_for(peer) as (service, record):
        await service.connect()
        await interrupted(service, 1009)
        await record.until_state(S.CONNECTED)
        await asyncio.sleep(600)
        assert len(peer.calls) == 1


async def test_fault_19_the_server_meets_an_error(peer):
    assert 0.125 <= await survives(peer, 1011) <= 0.25


async def test_fault_20_the_server_restarts(peer):
    assert 0.5 <= await survives(peer, 1012) <= 2.0


async def test_fault_20_a_close_frame_is_enough_where_the_socket_stays(peer):
    async def close_frame_only(connection, call):
        await closing_with(1012)(connection, call)
        connection.transport.pause_reading()

    peer.on_call = close_frame_only
    async with service_for(peer) as (service, _):
        await service.connect()
        await interrupted(service, 1012)
        await service.connect()
        assert service.epoch == 2


async def test_fault_21_the_server_is_overloaded(peer):
    assert 5.0 <= await survives(peer, 1013) <= 10.0


@pytest.mark.parametrize("code", [1000, 1006, 1011])
async def test_fault_22_accepted_and_closed_at_once_for_ever(peer, code):
    async def close(connection):
        if code == 1006:
            connection.transport.abort()
        else:
            await connection.close(code)

    peer.on_connect = close
    async with service_for(peer) as (service, record):
        service.start()
        await asyncio.sleep(60)
        assert 8 <= len(peer.connections) <= 15
        assert service.state in (S.RECONNECTING, S.CONNECTED)
        assert not record.of(FrameDropped)


async def test_fault_22_a_connection_that_held_starts_the_backoff_anew(peer):
    async with service_for(peer) as (service, record):
        await service.connect()
        for held, longest in ((1, 0.25), (1, 0.4), (1, 0.64), (31, 0.25), (1, 0.4)):
            await asyncio.sleep(held)
            peer.connections[-1].transport.abort()
            await record.until_state(S.RECONNECTING)
            wait = waits(record)[-1]
            assert longest / 2 <= wait <= longest
            await record.until_state(S.CONNECTED)
