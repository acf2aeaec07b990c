"""The connection's life: connecting, keeping, losing."""

from __future__ import annotations

import logging

import pytest

from kbtui.connection import (
    ConnectionState,
    Endpoint,
    LatencyMeasured,
    Mode,
    Timeouts,
)
from tests.connection.support import Peer, service_for

S = ConnectionState


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
        close_frame=1.5, close=5, probe=5, quiet=120,
    )  # fmt: skip
