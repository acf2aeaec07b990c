"""The service against every recorded version of the real server."""

from __future__ import annotations

import asyncio

import pytest

from kbtui.connection import (
    ConnectionLost,
    ConnectionState,
    LateAnswer,
    MessageReceived,
    Mode,
    NotConnected,
    RequestTimeout,
    StateChanged,
)
from kbtui.protocol.messages import Progress
from kbtui.protocol.methods import INGEST, SEARCH_CHUNKS
from tests.connection.support import service_for
from tests.kbv2.recordings import versions
from tests.kbv2.replay import Faults, ReplayServer

ALPHA = {"file_path": "/srv/kb/docs/alpha.md", "document_name": "Mine", "domain": "d"}
S = ConnectionState


@pytest.fixture(params=versions())
async def server(request):
    async with ReplayServer(request.param, speed=1.0) as started:
        yield started


def progress_of(record):
    return [e.message for e in record.of(MessageReceived) if isinstance(e.message, Progress)]


async def test_an_ingestion_reports_and_ends(server):
    async with service_for(server.url) as (service, record):
        await service.connect()
        assert service.mode is Mode.KBV2
        response = await service.request(INGEST, ALPHA)
        assert response.error is None
        assert response.result["document_name"] == "Mine"
        reports = progress_of(record)
        assert reports[0].message == "Starting ingestion of Mine"
        assert [report.final for report in reports] == [False] * (len(reports) - 1) + [True]
        stages = [report.stage for report in reports]
        assert stages == sorted(stages)
        assert stages[-1] == 9


async def test_failures_and_the_not_implemented_are_answers(server):
    async with service_for(server.url) as (service, _):
        await service.connect()
        missing = await service.request(INGEST, {"file_path": "/nowhere/x.md"})
        assert missing.result is None
        assert "/nowhere/x.md" in (missing.error or "")
        unknown = await service.request("kbv2/nope", {})
        assert "document_id" not in unknown.result
        hits = await service.request(SEARCH_CHUNKS, {"query": "nothing of the kind"})
        assert hits.result["chunks"] == []


async def test_searches_wait_for_the_ingestion_and_nothing_is_pipelined(server):
    server.faults.hold_after = 2
    async with service_for(server.url) as (service, _):
        await service.connect()
        running = asyncio.create_task(service.request(INGEST, ALPHA))
        searching = asyncio.create_task(service.request(SEARCH_CHUNKS, {"query": "x"}))
        await server.holding.wait()
        await asyncio.sleep(900)
        assert (len(server.requests), service.epoch) == (1, 1)
        server.release()
        assert (await running).error is None
        assert (await searching).error is None


async def test_a_restart_loses_the_answer_and_nothing_is_sent_again(server):
    server.faults.hold_after = 3
    async with service_for(server.url) as (service, record):
        await service.connect()
        running = asyncio.create_task(service.request(INGEST, ALPHA))
        queued = asyncio.create_task(service.request(INGEST, ALPHA | {"document_name": "Two"}))
        await server.holding.wait()
        await server.terminate()
        with pytest.raises(ConnectionLost) as lost:
            await running
        assert lost.value.code == 1012
        with pytest.raises(NotConnected):
            await queued
        wait = next(e.retry_in for e in record.of(StateChanged) if e.retry_in is not None)
        assert 0.5 <= wait <= 2
        await asyncio.sleep(30)
        await server.start()
        await record.until_state(S.CONNECTED)
        await asyncio.sleep(300)
        assert server.ingestions == {ALPHA["file_path"]: 1}


async def test_progress_comes_again_after_a_reconnect(server):
    server.faults.drop_after = 2
    async with service_for(server.url) as (service, record):
        await service.connect()
        with pytest.raises(ConnectionLost):
            await service.request(INGEST, ALPHA)
        await record.until(lambda: any(report.final for report in progress_of(record)))
        epochs = [event.epoch for event in record.of(MessageReceived)]
        assert epochs[:2] == [1, 1]
        assert epochs[-1] == 2
        await asyncio.sleep(60)
        assert server.ingestions == server.completed == {ALPHA["file_path"]: 1}


async def test_stolen_progress_changes_nothing_about_the_answer(server):
    server.faults.steal_after = 2
    async with service_for(server.url) as (service, record):
        await service.connect()
        assert (await service.request(INGEST, ALPHA)).error is None
        assert len(progress_of(record)) == 2
        assert service.epoch == 1


async def test_a_server_without_an_answer_is_busy_until_it_is_left(server):
    server.faults = Faults(never_answer=True)
    async with service_for(server.url) as (service, record):
        await service.connect()
        with pytest.raises(RequestTimeout):
            await service.request(INGEST, ALPHA, timeout=600)
        with pytest.raises(RequestTimeout) as waiting:
            await service.request(SEARCH_CHUNKS, {"query": "x"}, timeout=60)
        assert not waiting.value.sent
        server.drop_all()
        await record.until_state(S.RECONNECTING)
        await service.connect()
        assert (await service.request(SEARCH_CHUNKS, {"query": "x"})).error is None
        assert not record.of(LateAnswer)


async def test_the_wrong_path_is_told(server):
    url = f"ws://127.0.0.1:{server.port}/"
    async with service_for(url) as (service, record):
        service.start()
        await record.until_state(S.FAILED)
        assert "HTTP 403" in record.of(StateChanged)[-1].reason
        assert "/ws" in record.of(StateChanged)[-1].reason
