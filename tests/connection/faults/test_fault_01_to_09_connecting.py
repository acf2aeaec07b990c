"""Faults 1, 2 and 5 to 9: no connection comes about."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket

import pytest

from kbtui.connection import (
    ConnectionState,
    ConnectTimeout,
    Endpoint,
    FatalConnectError,
    StateChanged,
)
from tests.connection.support import Peer, http, raw_server, service_for

S = ConnectionState


def waits(record):
    return [e.retry_in for e in record.of(StateChanged) if e.retry_in is not None]


def last_reason(record):
    return record.of(StateChanged)[-1].reason or ""


async def first_wait(record):
    await record.until(lambda: bool(waits(record)))
    return waits(record)[0]


async def test_fault_01_refused_until_the_server_is_there():
    peer = Peer()
    await peer.start()
    await peer.stop()
    async with service_for(peer) as (service, record):
        service.start()
        await record.until(lambda: len(record.of(StateChanged)) >= 8)
        assert record.states == [S.CONNECTING]
        for number, wait in enumerate(waits(record)):
            assert 0.5 <= wait / (0.25 * 1.6**number) <= 1
        assert "ECONNREFUSED" in last_reason(record)
        await peer.start()
        service.reconnect_now()
        before = asyncio.get_running_loop().time()
        await service.connect()
        assert asyncio.get_running_loop().time() - before < 0.1
        await peer.stop()


async def test_fault_01_refused_after_a_connection(peer):
    async with service_for(peer) as (service, record):
        await service.connect()
        await peer.stop()
        await record.until(lambda: "ECONNREFUSED" in last_reason(record))
        assert service.state is S.RECONNECTING
        await asyncio.sleep(3600)
        assert service.state is S.RECONNECTING
        await peer.start()
        await service.connect()
        assert service.epoch == 2


async def test_fault_01_no_more_descriptors(peer):
    async with service_for(peer) as (service, record):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # The lowest free number is beyond the limit now.
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            service.start()
            await first_wait(record)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert "EMFILE" in last_reason(record)
        await service.connect()


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN])
async def test_fault_01_unreachable(number):
    async def unreachable(endpoint, timeouts):
        raise OSError(number, "as the kernel says it")

    async with service_for("ws://127.0.0.1:1/ws", transport=unreachable) as (service, _):
        with pytest.raises(ConnectTimeout, match=errno.errorcode[number]):
            await service.connect()
        assert service.state is S.CONNECTING


def without_names(monkeypatch):
    async def getaddrinfo(host, *arguments, **more):
        if host.replace(".", "").isdigit():
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, arguments[0]))]
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_fault_02_a_name_that_was_never_found_is_given_up_after_three_tries(monkeypatch):
    without_names(monkeypatch)
    async with service_for("ws://no-such-host.invalid/ws") as (service, record):
        with pytest.raises(FatalConnectError, match=r"cannot be found .*check the spelling"):
            await service.connect()
        assert record.of(StateChanged)[-1].attempt == 3
        assert service.state is S.FAILED


async def test_fault_02_a_name_that_was_found_before_is_looked_for_for_ever(peer, monkeypatch):
    without_names(monkeypatch)
    url = peer.url

    async def source():
        return Endpoint(url)

    async with service_for(source) as (service, record):
        await service.connect()
        url = "ws://no-such-host.invalid/ws"
        peer.connections[-1].transport.abort()
        await record.until(lambda: "host name not found" in last_reason(record))
        await asyncio.sleep(600)
        assert service.state is S.RECONNECTING
        url = peer.url
        await service.connect()


@pytest.mark.parametrize("status", [401, 403, 407])
@pytest.mark.parametrize("connected_before", [False, True])
async def test_fault_05_refused_by_name(peer, status, connected_before):
    async with service_for(peer) as (service, record):
        if connected_before:
            await service.connect()
        peer.on_request = lambda connection, request: http(status)
        for connection in peer.connections:
            connection.transport.abort()
        service.start()
        await record.until_state(S.FAILED)
        assert f"HTTP {status}" in last_reason(record)
        assert "check the token" in last_reason(record) or status == 407
        tried = len(peer.handshakes)
        await asyncio.sleep(3600)
        assert len(peer.handshakes) == tried


@pytest.mark.parametrize("status", [404, 426, 200])
async def test_fault_06_a_wrong_service_is_given_up_at_once(peer, status):
    peer.on_request = lambda connection, request: http(status)
    async with service_for(peer) as (service, record):
        with pytest.raises(FatalConnectError, match="no knowledge-base server at this URL"):
            await service.connect()
        assert record.states == [S.CONNECTING, S.FAILED]


@pytest.mark.parametrize("status", [404, 426, 200])
async def test_fault_06_a_server_that_was_right_before_has_five_minutes(peer, status):
    loop = asyncio.get_running_loop()
    async with service_for(peer) as (service, record):
        await service.connect()
        peer.on_request = lambda connection, request: http(status)
        peer.connections[-1].transport.abort()
        gone = loop.time()
        await record.until_state(S.FAILED)
        assert 300 <= loop.time() - gone <= 320


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_fault_07_a_passing_trouble_is_retried(peer, status):
    peer.on_request = lambda connection, request: http(status)
    async with service_for(peer) as (service, record):
        service.start()
        await asyncio.sleep(600)
        assert service.state is S.CONNECTING
        assert f"HTTP {status}" in last_reason(record)
        peer.on_request = None
        await service.connect()


@pytest.mark.parametrize(
    ("value", "low", "high"), [("7", 7, 12), ("0", 1, 2), ("9999", 300, 305), ("soon", 0, 0.25)]
)
async def test_fault_07_the_server_says_when_to_come_back(peer, value, low, high):
    peer.on_request = lambda connection, request: http(503, Retry_After=value)
    async with service_for(peer) as (service, record):
        service.start()
        assert low <= await first_wait(record) <= high


async def test_fault_08_three_redirects_are_followed_and_forgotten(peer):
    def redirect(connection, request):
        step = int(request.path.removeprefix("/ws") or 0)
        return http(307, Location=f"/ws{step + 1}") if step < 3 else None

    peer.on_request = redirect
    async with service_for(peer) as (service, record):
        await service.connect()
        peer.connections[-1].transport.abort()
        await record.until_state(S.RECONNECTING)
        await service.connect()
        paths = [request.path for request in peer.handshakes]
        assert paths == 2 * ["/ws", "/ws1", "/ws2", "/ws3"], "each attempt begins anew"


async def test_fault_08_a_fourth_redirect_is_one_too_many(peer):
    peer.on_request = lambda connection, request: http(302, Location="/ws")
    async with service_for(peer) as (service, _):
        with pytest.raises(FatalConnectError, match="more than 3 redirects"):
            await service.connect()
        assert len(peer.handshakes) == 4


async def test_fault_08_the_token_does_not_follow_to_another_server(peer):
    async with Peer(native=peer.native) as other:
        peer.on_request = lambda connection, request: http(302, Location=other.url)
        async with service_for(Endpoint(peer.url, token="s3cret")) as (service, _):
            await service.connect()
        assert peer.handshakes[0].headers["Authorization"] == "Bearer s3cret"
        assert "Authorization" not in other.handshakes[0].headers


async def test_fault_09_a_silent_accept_ends_after_ten_seconds():
    loop = asyncio.get_running_loop()
    async with raw_server(None) as url, service_for(url) as (service, record):
        service.start()
        await first_wait(record)
        assert loop.time() == pytest.approx(10, abs=0.1)
        service.reconnect_now()
        with pytest.raises(ConnectTimeout):
            await service.connect()
        assert loop.time() == pytest.approx(70, abs=0.1)


async def test_fault_09_headers_that_drip_in():
    async def drip(reader, writer):
        try:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
            while True:
                writer.write(b"X-Drip: 1\r\n")
                await asyncio.sleep(1)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
    async with service_for(url) as (service, record):
        service.start()
        await first_wait(record)
        assert asyncio.get_running_loop().time() == pytest.approx(10, abs=0.1)
    server.close()
    await asyncio.sleep(2)  # its handler sees the end at the next drop


async def test_fault_09_a_black_hole_for_syn_packets():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        try:
            for _ in range(4):  # the backlog is full, and the kernel drops what comes now
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(full.getsockname())
            async with service_for(f"ws://127.0.0.1:{full.getsockname()[1]}/ws") as (_, record):
                record.service.start()
                await first_wait(record)
                assert asyncio.get_running_loop().time() == pytest.approx(10, abs=0.1)
                assert "no answer in time" in last_reason(record)
        finally:
            for each in waiting:
                each.close()
