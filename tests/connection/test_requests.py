"""Requests and their answers: matching, turns, timeouts, cancellation."""

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
    MessageReceived,
    NotConnected,
    RequestTimeout,
    RequestTooLarge,
    SendFailed,
    StateChanged,
)
from kbtui.protocol.messages import ExtractionLog, Progress
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


async def test_progress_and_logs_go_to_the_listeners_in_order(peer):
    async def report(connection, call):
        for stage in range(5):
            await connection.send(json.dumps({"type": "progress", "stage": stage}))
        await connection.send('{"type":"extraction_log","event_type":"llm_call","data":{}}')
        await connection.send(answer(call))

    peer.on_call = report
    async with service_for(peer) as (service, record):
        await service.connect()
        await service.request("a", {})
        messages = [event.message for event in record.of(MessageReceived)]
        assert [m.stage for m in messages if isinstance(m, Progress)] == [0, 1, 2, 3, 4]
        assert isinstance(messages[-1], ExtractionLog)
        assert {event.epoch for event in record.of(MessageReceived)} == {1}


async def test_unreadable_frames_are_dropped_and_the_reader_lives_on(peer):
    frames = ["", "{", "nonsense", "[" * 100_000, "9" * 5000, '{"a": 1}', "\ufeff", b"\xff\xfe"]

    async def garbage(connection, call):
        for frame in frames:
            await connection.send(frame)
        await connection.send(answer(call))

    peer.on_call = garbage
    async with service_for(peer) as (service, record):
        await service.connect()
        assert (await service.request("a", {})).result == "done"
        drops = record.of(FrameDropped)
        assert [drop.count for drop in drops] == list(range(1, len(frames) + 1))
        assert all(len(drop.sample) <= 200 for drop in drops)


async def test_a_hundred_unreadable_frames_in_a_row_are_enough(peer):
    async def garbage(connection, call):
        for number in range(100 if call["method"] == "b" else 99):
            await connection.send(f"garbage {number}")
        await connection.send('{"a new kind of message": 1}')
        await connection.send(answer(call))

    peer.on_call = garbage
    async with service_for(peer) as (service, record):
        await service.connect()
        await service.request("a", {})
        with pytest.raises(ConnectionLost):
            await service.request("b", {})
        assert service.state is S.FAILED
        assert "points at a knowledge-base server" in record.of(StateChanged)[-1].reason


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


async def test_kbv2_has_one_request_on_the_wire_in_the_order_of_asking(peer):
    async def slow(connection, call):
        assert len(peer.calls) == 1 + int(call["method"])
        await asyncio.sleep(5)
        await connection.send(answer(call))

    peer.on_call = slow
    async with service_for(peer) as (service, _):
        await service.connect()
        await asyncio.gather(*(service.request(str(n), {}) for n in range(10)))
        assert [call["method"] for call in peer.calls] == [str(n) for n in range(10)]


@pytest.mark.parametrize("how", ["timeout", "cancel"])
async def test_kbv2_stays_busy_until_the_late_answer(peer, how):
    async def slow_first(connection, call):
        if call["method"] == "slow":
            await asyncio.sleep(100)
        await connection.send(answer(call))

    peer.on_call = slow_first
    async with service_for(peer) as (service, record):
        await service.connect()
        first = asyncio.create_task(service.request("slow", {}, timeout=10))
        await asyncio.sleep(1)
        if how == "cancel":
            first.cancel()
        second = asyncio.create_task(service.request("next", {}))
        with pytest.raises(RequestTimeout) as timeout:
            await service.request("impatient", {}, timeout=20)
        assert not timeout.value.sent
        with pytest.raises(RequestTimeout if how == "timeout" else asyncio.CancelledError):
            await first
        assert [call["method"] for call in peer.calls] == ["slow"]
        assert (await second).result == "done"
        assert asyncio.get_running_loop().time() == pytest.approx(100, abs=1)
        assert [call["method"] for call in peer.calls] == ["slow", "next"]
        assert len(record.of(LateAnswer)) == 1


async def test_kbv2_is_free_again_after_a_close(peer):
    peer.on_call = silent
    async with service_for(peer) as (service, _):
        await service.connect()
        with pytest.raises(RequestTimeout):
            await service.request("a", {}, timeout=10)
        waiting = asyncio.create_task(service.request("b", {}))
        await asyncio.sleep(1)
        peer.connections[0].transport.abort()
        with pytest.raises(NotConnected):
            await waiting
        del peer.on_call
        peer.on_call = Peer().on_call
        await service.connect()
        assert (await service.request("c", {})).result == "done"
        assert [call["method"] for call in peer.calls] == ["a", "c"]


async def test_a_request_that_waits_for_its_turn_can_be_cancelled_without_a_trace(peer):
    async def slow(connection, call):
        await asyncio.sleep(10)
        await connection.send(answer(call))

    peer.on_call = slow
    async with service_for(peer) as (service, record):
        await service.connect()
        calls = [asyncio.create_task(service.request(m, {})) for m in "abc"]
        await asyncio.sleep(1)
        calls[1].cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert [call["method"] for call in peer.calls] == ["a", "c"]
        assert not record.of(LateAnswer)


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
