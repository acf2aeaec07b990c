"""Faults 30 to 36: answers that are late, double, strange, or meant for nobody."""

from __future__ import annotations

import asyncio
import json

import pytest

from kbtui.connection import (
    ConnectionState,
    FrameDropped,
    LateAnswer,
    RequestTimeout,
    SendFailed,
    Timeouts,
)
from kbtui.connection.transport import open_websocket
from kbtui.ingest.decide import outcome_of
from kbtui.ingest.jobs import JobState
from kbtui.protocol.methods import INGEST
from tests.connection.support import Peer, answer, service_for

S = ConnectionState
NO_ID = '{"result":null,"error":"cannot be parsed","id":null}'


async def ask(peer, reply, method="a"):
    """The response to one request, where the server sends `reply` with the request's id."""

    async def send(connection, call):
        await connection.send(json.dumps({"id": call["id"], **reply}))

    peer.on_call = send
    async with service_for(peer) as (service, _):
        await service.connect()
        return await service.request(method, {})


async def test_fault_30_an_error_without_an_id_belongs_to_the_only_request(peer):
    async def fail(connection, call):
        await connection.send(NO_ID)

    peer.on_call = fail
    async with service_for(peer) as (service, _):
        await service.connect()
        response = await service.request("a", {}, request_id="mine")
        assert (response.id, response.error) == ("mine", "cannot be parsed")


async def test_fault_30_an_error_without_an_id_belongs_to_nobody_when_two_are_out_native():
    async def fail(connection, call):
        if call["method"] == "b":
            await connection.send(NO_ID)

    async with Peer(native=True) as peer, service_for(peer) as (service, record):
        peer.on_call = fail
        await service.connect()
        calls = [asyncio.create_task(service.request(m, {}, timeout=60)) for m in "ab"]
        await record.until(lambda: bool(record.of(FrameDropped)))
        assert not any(call.done() for call in calls)
        for result in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(result, RequestTimeout)


async def test_fault_31_the_first_answer_wins_and_strangers_are_counted(peer):
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


async def test_fault_31_the_same_answer_twice_does_not_free_the_next_turn(peer):
    async def twice(connection, call):
        await connection.send(answer(call, call["method"]))
        await connection.send(answer(call, "again"))

    peer.on_call = twice
    async with service_for(peer) as (service, _):
        await service.connect()
        calls = [service.request(str(number), {}) for number in range(20)]
        results = [response.result for response in await asyncio.gather(*calls)]
        assert results == [str(number) for number in range(20)]


@pytest.mark.parametrize(
    "result", [{"message": f"Method '{INGEST}' not implemented"}, None, {}, [], "done", 1]
)
async def test_fault_32_a_success_that_names_no_document_has_failed(peer, result):
    outcome = outcome_of(await ask(peer, {"result": result, "error": None}, INGEST))
    assert outcome.state is JobState.FAILED
    assert "names no stored document" in (outcome.error or "")


@pytest.mark.parametrize("error", [{"code": 5}, ["a"], 7, True, "", 1.5])
async def test_fault_33_an_error_of_any_kind_is_text_and_has_failed(peer, error):
    response = await ask(peer, {"result": {"document_id": "x"}, "error": error}, INGEST)
    assert isinstance(response.error, str)
    outcome = outcome_of(response)
    assert outcome.state is JobState.FAILED
    assert outcome.error


async def test_fault_34_the_answer_after_the_timeout_is_known(peer):
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


class Slow:
    """A link whose `send` returns a second after the message left, or fails instead."""

    def __init__(self, link, *, fail=False):
        self._link = link
        self._fail = fail

    def __getattr__(self, name):
        return getattr(self._link, name)

    async def send(self, text):
        if self._fail:
            await asyncio.sleep(3600)
        await self._link.send(text)
        await asyncio.sleep(1)


async def test_fault_35_the_answer_before_the_send_returned(peer):
    async def opener(endpoint, timeouts):
        return Slow(await open_websocket(endpoint, timeouts))

    async with service_for(peer, transport=opener) as (service, record):
        await service.connect()
        assert (await service.request("a", {})).result == "done"
        assert (await service.request("b", {})).result == "done"
        assert not record.of(FrameDropped)


async def test_fault_35_a_send_that_fails_leaves_no_entry(peer):
    fail = True

    async def opener(endpoint, timeouts):
        return Slow(await open_websocket(endpoint, timeouts), fail=fail)

    async with service_for(peer, transport=opener, timeouts=Timeouts(send=2)) as (service, record):
        await service.connect()
        with pytest.raises(SendFailed):
            await service.request("a", {}, request_id="mine")
        fail = False
        await record.until_state(S.RECONNECTING)
        await record.until_state(S.CONNECTED)
        assert (await service.request("a", {}, request_id="mine")).result == "done"
        assert not record.of(LateAnswer)


async def test_fault_36_a_cancelled_callers_answer_does_no_harm(peer):
    async def slow(connection, call):
        await asyncio.sleep(10)
        await connection.send(answer(call, call["method"]))

    peer.on_call = slow
    async with service_for(peer) as (service, record):
        await service.connect()
        given_up = asyncio.create_task(service.request("a", {}, request_id="mine"))
        await asyncio.sleep(1)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert (await service.request("b", {})).result == "b"
        (late,) = record.of(LateAnswer)
        assert late.response.id == "mine"
        assert not record.of(FrameDropped)
