"""The connection's life: connecting, keeping, losing, closing."""

from __future__ import annotations

import asyncio
import logging

import pytest

from kbtui.connection import (
    ConnectionLost,
    ConnectionState,
    ConnectTimeout,
    Endpoint,
    FatalConnectError,
    LatencyMeasured,
    Mode,
    NotConnected,
    ServiceClosed,
    StateChanged,
    Timeouts,
)
from tests.connection.support import Peer, answer, mute_websocket, raw_server, service_for

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


async def test_a_listener_that_fails_harms_nobody(peer, caplog):
    async with service_for(peer) as (service, _):
        unsubscribe = service.subscribe(lambda event: 1 / 0)
        await service.connect()
        assert (await service.request("a", {})).result == "done"
        assert "ZeroDivisionError" in caplog.text
        unsubscribe()
        unsubscribe()


@pytest.mark.parametrize("state", list(S))
async def test_aclose_in_every_state(state, peer):
    async with raw_server(None) as silent:
        if state is S.CONNECTING:
            target = silent
        elif state is S.FAILED:
            target = "nonsense"
        else:
            target = peer
        async with service_for(target) as (service, record):
            if state is not S.DISCONNECTED:
                service.start()
            if state not in (S.DISCONNECTED, S.CONNECTING, S.FAILED):
                await record.until_state(S.CONNECTED)
            closing = None
            if state is S.RECONNECTING:
                await peer.stop()
            elif state is S.DRAINING:
                await service.drain(1)
            elif state in (S.CLOSING, S.CLOSED):
                closing = asyncio.create_task(service.aclose())
            if state is S.CLOSED:
                await closing
            else:
                await record.until_state(state) if state is not S.DISCONNECTED else None
            assert service.state is state
            await asyncio.gather(service.aclose(), service.aclose())
            assert service.state is S.CLOSED
            if closing is not None:
                await closing
            for call in (service.connect(), service.request("a", {})):
                with pytest.raises(ServiceClosed):
                    await call
            with pytest.raises(ServiceClosed):
                service.start()


async def test_aclose_of_a_peer_that_never_answers_the_close_frame():
    loop = asyncio.get_running_loop()
    async with mute_websocket() as url, service_for(url) as (service, _):
        await service.connect()
        before = loop.time()
        waiting = asyncio.create_task(service.request("a", {}))
        await asyncio.sleep(0.01)
        await service.aclose()
        assert loop.time() - before == pytest.approx(1.51, abs=0.02)
        with pytest.raises(ConnectionLost):
            await waiting


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


async def test_timeouts_are_those_of_the_document():
    assert Timeouts() == Timeouts(
        connect=60, attempt=10, request=3600, ping_interval=20, ping_timeout=90, send=10,
        close_frame=1.5, close=5, probe=5,
    )  # fmt: skip
