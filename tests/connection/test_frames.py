"""What a server sends besides answers, readable or not."""

from __future__ import annotations

import json

import pytest

from kbtui.connection import (
    ConnectionLost,
    ConnectionState,
    FrameDropped,
    MessageReceived,
    StateChanged,
)
from kbtui.protocol.messages import ExtractionLog, Progress
from tests.connection.support import answer, service_for

S = ConnectionState


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
