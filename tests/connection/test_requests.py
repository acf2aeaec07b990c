"""Requests and their answers: matching, timeouts, cancellation."""

from __future__ import annotations

import asyncio
import json

import pytest

from kbtui.connection import (
    ConnectionLost,
    ConnectionState,
    FrameDropped,
    InvalidRequest,
    LateAnswer,
    NotConnected,
    RequestTimeout,
    RequestTooLarge,
    SendFailed,
)
from kbtui.protocol.methods import INGEST
from tests.connection.support import Peer, answer, mute_websocket, service_for

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


async def test_an_error_without_an_id_belongs_to_the_only_request(peer):
    async def fail(connection, call):
        await connection.send('{"result":null,"error":"cannot be parsed","id":null}')

    peer.on_call = fail
    async with service_for(peer) as (service, _):
        await service.connect()
        response = await service.request("a", {}, request_id="mine")
        assert (response.id, response.error) == ("mine", "cannot be parsed")


async def test_an_error_without_an_id_belongs_to_nobody_when_two_are_out(native):
    async def fail(connection, call):
        if call["method"] == "b":
            await connection.send('{"result":null,"error":"cannot be parsed","id":null}')

    native.on_call = fail
    async with service_for(native) as (service, record):
        await service.connect()
        calls = [asyncio.create_task(service.request(m, {}, timeout=60)) for m in "ab"]
        await record.until(lambda: bool(record.of(FrameDropped)))
        assert not any(call.done() for call in calls)
        for result in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(result, RequestTimeout)


async def test_of_two_answers_the_first_wins_and_strangers_are_counted(peer):
    async def twice(connection, call):
        await connection.send(json.dumps({"result": 0, "error": None, "id": "a stranger's"}))
        await connection.send(answer(call, 1))
        await connection.send(answer(call, 2))

    peer.on_call = twice
    async with service_for(peer) as (service, record):
        await service.connect()
        assert (await service.request("a", {})).result == 1
        await record.until(lambda: len(record.of(FrameDropped)) == 2)
        first, second = record.of(FrameDropped)
        assert (first.count, second.count) == (1, 2)
        assert b"stranger" in first.sample


async def test_a_timeout_is_told_in_words_and_the_late_answer_is_known(peer):
    async def slow(connection, call):
        await asyncio.sleep(4000)
        await connection.send(answer(call))

    peer.on_call = slow
    async with service_for(peer) as (service, record):
        await service.connect()
        with pytest.raises(RequestTimeout, match="longer than expected: no answer after 3600 s"):
            await service.request(INGEST, {}, request_id="mine")
        assert asyncio.get_running_loop().time() == pytest.approx(3600, abs=1)
        await record.until(lambda: bool(record.of(LateAnswer)))
        late = record.of(LateAnswer)[0]
        assert (late.epoch, late.response.id, late.response.result) == (1, "mine", "done")


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


async def test_a_network_that_takes_no_data_fails_the_send_and_the_link():
    import random

    noise = random.Random(1).randbytes(7 * 1024 * 1024).hex()  # does not compress away
    async with mute_websocket() as url, service_for(url) as (service, record):
        await service.connect()
        with pytest.raises(SendFailed, match="within 10 s"):
            await service.request("a", {"text": noise})
        assert asyncio.get_running_loop().time() == pytest.approx(10, abs=0.1)
        await record.until_state(S.RECONNECTING)


async def test_an_answer_over_the_limit_is_an_error_of_its_own(peer):
    async def huge(connection, call):
        await connection.send(answer(call, "x" * (16 * 1024 * 1024 + 1)))

    peer.on_call = huge
    async with service_for(peer) as (service, record):
        await service.connect()
        with pytest.raises(ConnectionLost) as lost:
            await service.request("a", {})
        assert lost.value.code == 1009
        await record.until_state(S.CONNECTED)
