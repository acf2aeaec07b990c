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
from tests.connection.support import Peer, raw_server, service_for

S = ConnectionState


@pytest.mark.parametrize("code", [1008, 4401, 4403])
async def test_a_refusal_ends_it_until_the_user_acts(peer, code):
    async def close(connection):
        await connection.close(code)

    peer.on_connect = close
    async with service_for(peer) as (service, record):
        await service.connect()
        await record.until_state(S.FAILED)
        assert "check the token" in (record.of(StateChanged)[-1].reason or "")
        await asyncio.sleep(3600)
        assert len(peer.connections) == 1
        peer.on_connect = None
        service.reconnect_now()
        await record.until_state(S.CONNECTED)
        assert service.epoch == 2


async def test_the_backoff_is_kept_and_grows_when_the_server_closes_at_once(peer):
    async def close(connection):
        await connection.close(1011)

    peer.on_connect = close
    async with service_for(peer) as (service, _):
        service.start()
        await asyncio.sleep(60)
        assert 8 <= len(peer.connections) <= 15


async def test_a_connection_that_held_starts_the_backoff_anew(peer):
    async with service_for(peer) as (service, record):
        await service.connect()
        for held, longest in ((1, 0.25), (1, 0.4), (1, 0.64), (31, 0.25), (1, 0.4)):
            await asyncio.sleep(held)
            peer.connections[-1].transport.abort()
            await record.until(lambda: service.state is S.RECONNECTING)
            wait = record.of(StateChanged)[-1].retry_in
            assert longest / 2 <= wait <= longest
            await record.until_state(S.CONNECTED)


async def test_refused_until_the_server_is_there():
    peer = Peer()
    await peer.start()
    await peer.stop()
    async with service_for(peer) as (service, record):
        service.start()
        await record.until(lambda: len(record.of(StateChanged)) >= 8)
        assert record.states == [S.CONNECTING]
        waits = [e.retry_in for e in record.of(StateChanged) if e.retry_in is not None]
        for number, wait in enumerate(waits):
            assert 0.5 <= wait / (0.25 * 1.6**number) <= 1
        assert "ECONNREFUSED" in (record.of(StateChanged)[-1].reason or "")
        await peer.start()
        service.reconnect_now()
        before = asyncio.get_running_loop().time()
        await service.connect()
        assert asyncio.get_running_loop().time() - before < 0.1
        await peer.stop()


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


async def test_an_attempt_ends_after_ten_seconds():
    async with raw_server(None) as url, service_for(url) as (service, record):
        service.start()
        await record.until(lambda: record.of(StateChanged)[-1].retry_in is not None)
        assert asyncio.get_running_loop().time() == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("401 Unauthorized", "check the token"),
        ("403 Forbidden", "check the token, and the URL's path"),
        ("404 Not Found", "no knowledge-base server at this URL"),
        ("426 Upgrade Required", "no knowledge-base server at this URL"),
        ("200 OK", "no knowledge-base server at this URL"),
    ],
)
async def test_what_retrying_cannot_cure_fails_at_once(status, sentence):
    reply = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    async with raw_server(reply) as url, service_for(url) as (service, record):
        with pytest.raises(FatalConnectError, match=sentence):
            await service.connect()
        assert record.states == [S.CONNECTING, S.FAILED]


async def test_the_server_says_when_to_come_back():
    reply = b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(reply) as url, service_for(url) as (service, record):
        service.start()
        await record.until(lambda: record.of(StateChanged)[-1].retry_in is not None)
        assert 7 <= record.of(StateChanged)[-1].retry_in <= 8


async def test_a_wss_url_to_a_plain_port_is_told_after_some_tries(peer):
    url = peer.url.replace("ws://", "wss://")
    async with service_for(url) as (service, record):
        with pytest.raises(FatalConnectError, match="should begin with wss:// or with ws://"):
            await service.connect()
        assert record.of(StateChanged)[-1].attempt >= 3


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
