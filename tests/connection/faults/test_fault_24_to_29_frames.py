"""Faults 24 to 29: frames that no server should send."""

from __future__ import annotations

import asyncio
import json
import math

import pytest

from kbtui.connection import (
    ConnectionLost,
    ConnectionState,
    FrameDropped,
    MessageReceived,
    StateChanged,
)
from kbtui.protocol.messages import Progress
from tests.connection.support import answer, service_for

S = ConnectionState


def sending(*frames):
    async def send(connection, call):
        for frame in frames:
            await connection.send(frame)
        await connection.send(answer(call))

    return send


async def exchange(peer, *frames):
    """The events that `frames` cause, sent between a request and its answer."""
    peer.on_call = sending(*frames)
    async with service_for(peer) as (service, record):
        await service.connect()
        assert (await service.request("a", {})).result == "done"
        assert service.epoch == 1
        return record


async def test_fault_24_unreadable_frames_are_dropped_and_counted(peer):
    frames = ["", "{", "nonsense", '{"a": 1}', "\ufeff", "x" * 5000]
    record = await exchange(peer, *frames)
    drops = record.of(FrameDropped)
    assert [drop.count for drop in drops] == list(range(1, len(frames) + 1))
    assert [drop.sample for drop in drops] == [frame.encode()[:200] for frame in frames]


async def test_fault_24_a_hundred_unreadable_frames_in_a_row_are_enough(peer):
    async def garbage(connection, call):
        for number in range(100 if call["method"] == "b" else 99):
            await connection.send(f"garbage {number}")
        await sending('{"a new kind of message": 1}')(connection, call)

    peer.on_call = garbage
    async with service_for(peer) as (service, record):
        await service.connect()
        await service.request("a", {})
        with pytest.raises(ConnectionLost):
            await service.request("b", {})
        assert service.state is S.FAILED
        assert "points at a knowledge-base server" in record.of(StateChanged)[-1].reason


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"progress","stage":3,"status":"started","message":"m","duration":NaN}',
        '{"type":"progress","stage":3,"status":"started","message":"m","duration":-Infinity}',
        '{"type":"progress","stage":3,"status":"started","message":"m","x":"\\ud800"}',
        '\ufeff{"type":"progress","stage":3,"status":"started","message":"m"}',
    ],
)
async def test_fault_25_json_that_is_none_is_read_all_the_same(peer, frame):
    record = await exchange(peer, frame)
    (event,) = record.of(MessageReceived)
    assert (event.message.stage, event.message.message) == (3, "m")
    assert event.message.duration is None
    assert not record.of(FrameDropped)


async def test_fault_25_lone_surrogates_are_replaced(peer):
    text = '{"type":"progress","stage":1,"status":"started","message":"a\\ud800b"}'
    record = await exchange(peer, text)
    message = record.of(MessageReceived)[0].message.message
    message.encode()
    assert (message[0], message[-1]) == ("a", "b")


async def test_fault_25_an_answer_may_be_so_too(peer):
    async def reply(connection, call):
        frame = {"result": {"x": math.nan, "y": "\udc00"}, "error": None, "id": call["id"]}
        await connection.send(json.dumps(frame))

    peer.on_call = reply
    async with service_for(peer) as (service, _):
        await service.connect()
        response = await service.request("a", {})
        assert response.error is None
        response.result["y"].encode()


@pytest.mark.parametrize(
    "frame", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, '{"id":%s,"result":1}' % ("9" * 5000)]
)
async def test_fault_26_too_deep_or_too_long_is_dropped_and_the_reader_lives_on(peer, frame):
    record = await exchange(peer, frame)
    assert len(record.of(FrameDropped)) == 1


@pytest.mark.parametrize("frame", ["[]", "null", "1", '"text"', "true", "[1,2]"])
async def test_fault_27_what_is_no_object_is_dropped(peer, frame):
    record = await exchange(peer, frame)
    assert len(record.of(FrameDropped)) == 1


@pytest.mark.parametrize(
    ("stage", "number", "label"),
    [
        (3.5, 3.5, None),
        ("started", 0.0, "started"),
        ("a new stage", None, "a new stage"),
        (None, None, None),
        (..., None, None),
        ([1], None, None),
    ],
)
async def test_fault_27_a_stage_of_any_kind_is_shown_as_well_as_can_be(peer, stage, number, label):
    frame = {"type": "progress", "stage": stage, "message": "m"}
    if stage is ...:
        del frame["stage"]
    record = await exchange(peer, json.dumps(frame))
    (event,) = record.of(MessageReceived)
    message = event.message
    assert isinstance(message, Progress)
    assert (message.stage, message.label, message.status) == (number, label, "")
    assert message.message == "m"


async def test_fault_28_a_binary_frame_is_json_or_dropped(peer):
    record = await exchange(
        peer, b'{"type":"progress","stage":2,"status":"started","message":"m"}', b"\xff\xfe", b""
    )
    assert [event.message.stage for event in record.of(MessageReceived)] == [2]
    assert len(record.of(FrameDropped)) == 2


async def test_fault_29_a_flood_of_fragments_is_too_large(peer):
    async def flood(connection, call):
        async def fragments():
            for _ in range(40):
                yield "x" * 1024 * 1024

        await connection.send(fragments())

    peer.on_call = flood
    async with service_for(peer) as (service, record):
        await service.connect()
        with pytest.raises(ConnectionLost) as lost:
            await service.request("a", {})
        assert lost.value.code == 1009
        await record.until_state(S.CONNECTED)
        assert len(peer.calls) == 1


async def test_fault_29_bad_utf_8_three_times_is_enough(peer):
    async def bad(connection, call):
        await connection.send(b'"\xff\xff"', text=True)

    peer.on_call = bad
    async with service_for(peer) as (service, _):
        for number in range(3):
            await service.connect()
            with pytest.raises(ConnectionLost) as lost:
                await service.request("a", {})
            assert lost.value.code == 1007
            assert service.state is (S.FAILED if number == 2 else S.RECONNECTING)
            await asyncio.sleep(60)
