"""Faults 10, 11 and 47 to 49: calls that are cancelled, come at once, or come too late."""

from __future__ import annotations

import asyncio

import pytest

from kbtui.connection import ConnectionLost, ConnectionState, ServiceClosed
from tests.connection.support import Peer, mute_websocket, raw_server, service_for

S = ConnectionState


def now():
    return asyncio.get_running_loop().time()


async def refused():
    """A URL where nobody listens."""
    peer = Peer()
    await peer.start()
    await peer.stop()
    return peer.url


async def stuck_in(service, record, phase):
    """Bring the service into `phase` of connecting."""
    service.start()
    if phase == "backoff":
        await record.until(lambda: record.events[-1].retry_in is not None)
    else:
        await asyncio.sleep(1)
    return service


@pytest.mark.parametrize("phase", ["source", "handshake", "backoff"])
@pytest.mark.parametrize("how", ["close", "cancelled connect", "cancelled close"])
async def test_fault_10_cancelled_while_connecting(phase, how):
    async with raw_server(None) as silent:
        closed_port = await refused()

        async def never():
            await asyncio.Event().wait()

        target = {"source": never, "handshake": silent, "backoff": closed_port}[phase]
        async with service_for(target) as (service, record):
            await stuck_in(service, record, phase)
            before = now()
            if how == "cancelled connect":
                connecting = asyncio.create_task(service.connect())
                await asyncio.sleep(0)
                connecting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await connecting
                assert service.state is S.CONNECTING, "the service itself goes on"
            elif how == "cancelled close":
                closing = asyncio.create_task(service.aclose())
                await asyncio.sleep(0)
                closing.cancel()
                await asyncio.gather(closing, return_exceptions=True)
            await service.aclose()
            assert now() - before <= 0.05
        # That no task and no descriptor is left is checked for every test here.


async def test_fault_11_a_peer_that_never_answers_the_close_frame():
    async with mute_websocket() as url, service_for(url) as (service, _):
        await service.connect()
        before = now()
        waiting = asyncio.create_task(service.request("a", {}))
        await asyncio.sleep(0.01)
        await service.aclose()
        assert now() - before == pytest.approx(1.51, abs=0.02)
        with pytest.raises(ConnectionLost):
            await waiting


async def test_fault_11_cancelled_while_closing():
    async with mute_websocket() as url, service_for(url) as (service, _):
        await service.connect()
        before = now()
        closing = asyncio.create_task(service.aclose())
        await asyncio.sleep(0.5)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert service.state is S.CLOSED
        assert now() - before <= 1.5


async def test_fault_47_a_hundred_callers_share_one_socket(peer):
    async with service_for(peer) as (service, record):
        await asyncio.gather(*(service.connect() for _ in range(100)))
        assert len(peer.connections) == 1
        assert record.states == [S.CONNECTING, S.CONNECTED]
        assert (service.epoch, service.url) == (1, peer.url)


async def test_fault_47_a_hundred_callers_share_one_failure():
    async with service_for("nonsense") as (service, record):
        calls = (service.connect() for _ in range(100))
        failures = await asyncio.gather(*calls, return_exceptions=True)
        assert len({str(failure) for failure in failures}) == 1
        assert record.states == [S.CONNECTING, S.FAILED]


async def bring_into(state, service, record, peer):
    """Returns the running `aclose`, where the state needs one."""
    closing = None
    if state is not S.DISCONNECTED:
        service.start()
    if state not in (S.DISCONNECTED, S.CONNECTING, S.FAILED):
        await record.until_state(S.CONNECTED)
    if state is S.RECONNECTING:
        await peer.stop()
    elif state is S.DRAINING:
        await service.drain(1)
    elif state in (S.CLOSING, S.CLOSED):
        closing = asyncio.create_task(service.aclose())
    if state is not S.DISCONNECTED:
        await record.until_state(state)
    return closing


@pytest.mark.parametrize("state", list(S))
async def test_fault_48_connect_while_closing_and_close_in_every_state(state, peer):
    async with raw_server(None) as silent:
        target = {S.CONNECTING: silent, S.FAILED: "nonsense"}.get(state, peer)
        async with service_for(target) as (service, record):
            closing = await bring_into(state, service, record, peer)
            if state in (S.DRAINING, S.CLOSING, S.CLOSED):
                with pytest.raises(ServiceClosed):
                    await service.connect()
            await asyncio.gather(service.aclose(), service.aclose())
            assert service.state is S.CLOSED
            if closing is not None:
                await closing
            for call in (service.connect(), service.request("a", {})):
                with pytest.raises(ServiceClosed):
                    await call
            with pytest.raises(ServiceClosed):
                service.start()


async def test_fault_49_no_proxy_comes_between_us_and_this_machine(peer, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "socks_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    async with service_for(peer) as (service, _):
        await service.connect()
