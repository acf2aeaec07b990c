"""Random lives of a connection: whatever happens, each request ends once and truthfully."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from kbtui.connection import (
    ConnectionLost,
    ConnectionState,
    ConnectTimeout,
    FatalConnectError,
    KbtuiConnectionError,
    LateAnswer,
    NotConnected,
    RequestTimeout,
    ServiceClosed,
    StateChanged,
)
from tests.chaos.proxy import ChaosProxy
from tests.chaos.toxics import Timeout
from tests.connection.support import Peer, answer, service_for

STEPS = 60


class Life:
    """One seed: a peer that misbehaves, callers that come and go."""

    def __init__(self, seed, peer, proxy, service):
        self.random = random.Random(seed)
        self.peer = peer
        self.proxy = proxy
        self.service = service
        self.tasks = {}
        self.sent = set()
        self.answered = set()
        self.busy = {}
        self.pipelined = False
        peer.on_call = self.serve

    async def serve(self, connection, call):
        if not self.peer.native:
            # A KBV2 server that still works must never get a second request.
            self.pipelined |= self.busy.get(connection) is not None
            self.busy[connection] = call["id"]
        await asyncio.sleep(self.random.choice([0, 0.1, 5, 100]))
        if self.random.random() < 0.05:
            await connection.close(self.random.choice([1000, 1001, 1011, 1012]))
            return
        self.busy[connection] = None
        self.answered.add(call["id"])
        await connection.send(answer(call))

    async def ask(self, name, timeout):
        return await self.service.request(
            "work", {}, request_id=name, timeout=timeout, on_sent=lambda _: self.sent.add(name)
        )

    async def step(self, number):
        chance = self.random.random()
        if chance < 0.5:
            name, timeout = str(number), self.random.choice([1, 50, 1000])
            self.tasks[name] = asyncio.create_task(self.ask(name, timeout))
        elif chance < 0.6 and self.tasks:
            self.random.choice(list(self.tasks.values())).cancel()
        elif chance < 0.65 and self.peer.connections:
            self.peer.connections[-1].transport.abort()
        elif chance < 0.68:
            self.random.choice([self.proxy.up, self.proxy.down]).set(Timeout())
            await asyncio.sleep(self.random.choice([1, 50, 200]))
            self.proxy.toxic_free()
        elif chance < 0.72:
            self.service.reconnect_now()
        elif chance < 0.82:
            with contextlib.suppress(ConnectTimeout):
                await self.service.connect()
        elif chance < 0.85:
            await self.peer.stop()
            await asyncio.sleep(self.random.choice([0, 1, 30]))
            await self.peer.start()
        else:
            await asyncio.sleep(self.random.choice([0, 0.01, 1, 20, 200]))


def check(life, name, result, received):
    """`result` of request `name` is one that the contract allows."""
    if isinstance(result, asyncio.CancelledError):
        return
    if isinstance(result, KbtuiConnectionError):
        unsent = isinstance(result, NotConnected | ServiceClosed) or (
            isinstance(result, RequestTimeout) and not result.sent
        )
        assert unsent == (name not in life.sent), (name, result)
        assert isinstance(result, NotConnected | ServiceClosed | RequestTimeout | ConnectionLost), (
            result
        )
        return
    assert not isinstance(result, BaseException), result
    assert result.id == name
    assert name in life.answered
    assert name in received


async def live(seed, native):
    """One random life, from its start to its close; raises AssertionError for a violation."""
    async with (
        Peer(native=native) as peer,
        ChaosProxy(peer.port) as proxy,
        service_for(proxy.url) as (service, record),
    ):
        life = Life(seed, peer, proxy, service)
        overdue = []

        def none_outlives_its_socket(event):
            lost = (ConnectionState.RECONNECTING, ConnectionState.FAILED)
            if isinstance(event, StateChanged) and event.state in lost:
                overdue.append(len(service._exchange._pending))

        service.subscribe(none_outlives_its_socket)
        service.start()
        for number in range(STEPS):
            await life.step(number)
        if life.random.random() < 0.5:
            await service.drain(life.random.choice([0, 10]))
        await service.aclose()
        results = await asyncio.gather(*life.tasks.values(), return_exceptions=True)
        received = [call["id"] for call in peer.calls]
        assert len(received) == len(set(received))
        assert set(received) <= life.sent
        assert not life.pipelined
        assert not any(overdue)
        for name, result in zip(life.tasks, results, strict=True):
            check(life, name, result, received)
        for late in record.of(LateAnswer):
            assert late.response.id in life.answered
        assert service.state is ConnectionState.CLOSED
        with pytest.raises((ServiceClosed, FatalConnectError)):
            await service.connect()
