"""The connection's life: connecting, keeping, losing."""

from __future__ import annotations

import asyncio
import logging

import pytest

from kbtui.connection import (
    ConnectionLost,
    ConnectionState,
    Endpoint,
    LatencyMeasured,
    Mode,
    NotConnected,
    StateChanged,
    Timeouts,
)
from tests.connection.support import Peer, service_for

S = ConnectionState


async def test_a_hundred_callers_share_one_socket(peer):
    async with service_for(peer) as (service, record):
        await asyncio.gather(*(service.connect() for _ in range(100)))
        assert len(peer.connections) == 1
        assert record.states == [S.CONNECTING, S.CONNECTED]
        assert (service.epoch, service.mode, service.url) == (1, Mode.KBV2, peer.url)


@pytest.mark.parametrize(("native", "mode"), [(True, Mode.NATIVE), (False, Mode.KBV2)])
async def test_the_server_chooses_the_mode(native, mode):
    async with Peer(native=native) as peer, service_for(peer) as (service, _):
        await service.connect()
        assert service.mode is mode


async def test_the_handshake_says_who_we_are_and_nothing_more(peer):
    async def source():
        return Endpoint(peer.url, token="s3cret")

    async with service_for(source) as (service, _):
        await service.connect()
    headers = peer.handshakes[0].headers
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["User-Agent"].startswith("kbtui/")
    assert headers["Sec-WebSocket-Protocol"] == "kbtui.v1"
    assert "permessage-deflate" in headers["Sec-WebSocket-Extensions"]
    assert "Origin" not in headers


async def test_nothing_secret_is_logged_or_reported(peer, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets.server").setLevel(logging.WARNING)
    url = f"ws://user:passw0rd@127.0.0.1:{peer.port}/ws?key=k3y"
    async with service_for(lambda: _endpoint(url, "s3cret")) as (service, record):
        await service.connect()
        await service.request("a", {})
    assert service.url == peer.url
    said = caplog.text + repr(record.events) + repr(Endpoint(url, "s3cret"))
    for secret in ("passw0rd", "k3y", "s3cret"):
        assert secret not in said


async def _endpoint(url, token=None):
    return Endpoint(url, token)


async def test_latency_shows_at_once_and_goes_with_the_connection(peer):
    async with service_for(peer) as (service, record):
        await service.connect()
        await record.until(lambda: bool(record.of(LatencyMeasured)))
        assert service.latency is not None
        assert record.of(LatencyMeasured)[0].epoch == 1
    assert service.latency is None


async def test_no_proxy_comes_between_us_and_this_machine(peer, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "socks_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with service_for(peer) as (service, _):
        await service.connect()


async def test_what_was_sent_is_lost_with_the_connection_at_once(peer):
    async def drop(connection, call):
        connection.transport.abort()

    peer.on_call = drop
    async with service_for(peer) as (service, record):
        await service.connect()
        sent = []
        began = asyncio.get_running_loop().time()
        with pytest.raises(ConnectionLost) as lost:
            await service.request("a", {}, on_sent=sent.append)
        assert asyncio.get_running_loop().time() - began <= 0.1
        assert (lost.value.epoch, lost.value.code, sent) == (1, 1006, [1])
        assert service.state is S.RECONNECTING
        with pytest.raises(NotConnected):
            await service.request("b", {})
        await service.connect()
        assert service.epoch == 2
        assert record.states == [S.CONNECTING, S.CONNECTED, S.RECONNECTING, S.CONNECTED]


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013, 3000])
async def test_a_close_is_never_the_end_of_it(peer, code):
    async def close(connection, call):
        await connection.close(code)

    peer.on_call = close
    async with service_for(peer) as (service, record):
        await service.connect()
        with pytest.raises(ConnectionLost) as lost:
            await service.request("a", {})
        assert lost.value.code == code
        wait = record.of(StateChanged)[-1].retry_in
        assert wait is not None
        if code == 1012:
            assert 0.5 <= wait <= 2.0
        if code == 1013:
            assert wait >= 5.0
        await service.connect()


async def test_a_close_frame_is_the_end_even_where_the_peer_keeps_the_socket(peer):
    async def close_frame_only(connection, call):
        connection.protocol.send_close(1012)
        connection.send_data()
        connection.transport.pause_reading()

    peer.on_call = close_frame_only
    loop = asyncio.get_running_loop()
    async with service_for(peer) as (service, _):
        await service.connect()
        before = loop.time()
        with pytest.raises(ConnectionLost) as lost:
            await service.request("a", {})
        assert lost.value.code == 1012
        assert loop.time() - before <= 0.1
        await service.connect()
        assert service.epoch == 2


async def test_a_listener_that_fails_harms_nobody(peer, caplog):
    async with service_for(peer) as (service, _):
        unsubscribe = service.subscribe(lambda event: 1 / 0)
        await service.connect()
        assert (await service.request("a", {})).result == "done"
        assert "ZeroDivisionError" in caplog.text
        unsubscribe()
        unsubscribe()


async def test_timeouts_are_those_of_the_document():
    assert Timeouts() == Timeouts(
        connect=60, attempt=10, request=3600, ping_interval=20, ping_timeout=90, send=10,
        close_frame=1.5, close=5, probe=5,
    )  # fmt: skip
