"""What a server sends besides answers, readable or not."""

from __future__ import annotations

import json

from kbtui.connection import (
    ConnectionState,
    MessageReceived,
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
