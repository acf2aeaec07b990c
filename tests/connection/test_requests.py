"""Requests and their answers: matching, timeouts, cancellation."""

from __future__ import annotations

import asyncio
import json

import pytest

from kbtui.connection import (
    ConnectionState,
    InvalidRequest,
    NotConnected,
    RequestTimeout,
    RequestTooLarge,
)
from tests.connection.support import Peer, answer, service_for

S = ConnectionState


def silent(connection, call):
    return asyncio.sleep(36_000)


@pytest.fixture
async def native():
    async with Peer(native=True) as peer:
        yield peer


async def test_answers_find_their_requests_in_any_order(native):
    async def later(connection, call):
        await asyncio.sleep(10 - call["params"]["n"])
        await connection.send(answer(call, call["params"]["n"]))

    native.on_call = later
    async with service_for(native) as (service, _):
        await service.connect()
        responses = await asyncio.gather(*(service.request("a", {"n": n}) for n in range(10)))
        assert [response.result for response in responses] == list(range(10))
        assert len({call["id"] for call in native.calls}) == 10


async def test_an_error_comes_back_as_the_answer(peer):
    async def fail(connection, call):
        await connection.send(json.dumps({"result": None, "error": "no such", "id": call["id"]}))

    peer.on_call = fail
    async with service_for(peer) as (service, _):
        await service.connect()
        assert (await service.request("a", {}, request_id="mine")).error == "no such"
        assert peer.calls[0]["id"] == "mine"


async def test_on_sent_tells_whether_anything_left(peer):
    async with service_for(peer) as (service, _):
        sent: list[int] = []
        with pytest.raises(NotConnected):
            await service.request("a", {}, on_sent=sent.append)
        await service.connect()
        assert sent == []
        await service.request("a", {}, on_sent=sent.append)
        assert sent == [1]

        def refuse(epoch):
            raise OSError("the journal's disk is full")

        with pytest.raises(OSError, match="disk is full"):
            await service.request("b", {}, on_sent=refuse)
        assert (await service.request("c", {})).result == "done"
        assert [call["method"] for call in peer.calls] == ["a", "c"]


async def test_what_cannot_be_written_is_refused_and_the_turn_goes_on(peer):
    async with service_for(peer) as (service, _):
        await service.connect()
        with pytest.raises(RequestTooLarge, match="16,777,216"):
            await service.request("a", {"text": "x" * 16 * 1024 * 1024})
        for params in ({"path": "\udcff"}, {"thing": object()}):
            with pytest.raises(InvalidRequest):
                await service.request("b", params)
        assert (await service.request("c", {})).result == "done"
        assert service.epoch == 1


async def test_an_id_is_used_once_at_a_time(native):
    native.on_call = silent
    async with service_for(native) as (service, _):
        await service.connect()
        first = asyncio.create_task(service.request("a", {}, request_id="x", timeout=5))
        await asyncio.sleep(1)
        with pytest.raises(ValueError, match="out already"):
            await service.request("b", {}, request_id="x")
        with pytest.raises(RequestTimeout):
            await first
