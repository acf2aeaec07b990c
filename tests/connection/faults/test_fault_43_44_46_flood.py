"""Faults 43, 44 and 46: more progress than anyone can draw, and none where it is expected."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from kbtui.connection import (
    ConnectionState,
    FrameDropped,
    LateAnswer,
    MessageReceived,
    RequestTimeout,
    ServerQuiet,
)
from kbtui.ingest.events import Attribution, JobChanged, JobProgressed
from kbtui.ingest.jobs import Job, JobState
from kbtui.state.store import Store
from tests.connection.support import Peer, answer, service_for

S = ConnectionState
JOB = Job("j", "/docs/a.md", "a.md", None, "server", "key", JobState.RUNNING, 0.0)


def flooding(frames):
    async def flood(connection, call):
        for number in range(frames):
            report = {"type": "progress", "stage": number % 9, "status": "started"}
            await connection.send(
                json.dumps({**report, "message": f"report {number} " + "x" * 150})
            )
        await connection.send(answer(call))

    return flood


def with_store(service):
    """A store that gets every event, the progress as that of one job."""
    store = Store()
    store.apply(JobChanged(JOB, None))

    def apply(event):
        store.apply(event)
        if isinstance(event, MessageReceived):
            store.apply(JobProgressed("j", event.message, Attribution.INFERRED))

    service.subscribe(apply)
    return store


async def test_fault_43_the_reader_does_not_wait_for_whoever_draws(peer):
    peer.on_call = flooding(5000)
    async with service_for(peer) as (service, record):
        store = with_store(service)
        await service.connect()
        # Nobody draws: nobody takes the changes. The answer comes all the same.
        assert (await service.request("a", {})).result == "done"
        assert len(record.of(MessageReceived)) == 5000
        changes = store.take_changes()
        assert changes.documents == {"j"}, "5,000 reports are one thing to draw"
        assert not store.take_changes()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
async def test_fault_44_a_flood_takes_little_memory_and_no_answer_is_lost(peer):
    def resident():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    peer.on_call = flooding(10_000)
    async with service_for(peer) as (service, record):
        store = with_store(service)
        await service.connect()
        await service.request("warm up", {})
        record.events.clear()
        before = resident()
        for _ in range(2):
            assert (await service.request("a", {})).result == "done"
            record.events.clear()
        assert resident() - before <= 50
        assert len(store.log) == 20_000
        assert store.log.dropped > 0
        assert not record.of(FrameDropped)


async def test_fault_46_progress_that_goes_quiet_is_told_and_the_connection_kept(peer):
    async def goes_quiet(connection, call):
        for _ in range(3):
            await asyncio.sleep(50)
            await connection.send('{"type":"progress","stage":1,"status":"started","message":""}')
        await asyncio.sleep(3000)
        await connection.send(answer(call))

    peer.on_call = goes_quiet
    async with service_for(peer) as (service, record):
        await service.connect()
        await asyncio.sleep(1000)
        assert not record.of(ServerQuiet), "nothing is expected of the server yet"
        before = asyncio.get_running_loop().time()
        waiting = asyncio.create_task(service.request("a", {}))
        await record.until(lambda: bool(record.of(ServerQuiet)))
        assert asyncio.get_running_loop().time() - before == pytest.approx(150 + 120, abs=0.1)
        assert (await waiting).result == "done"
        assert record.of(ServerQuiet) == [ServerQuiet(1, 120.0)], "once a silence"
        assert (service.epoch, service.state) == (1, S.CONNECTED)


async def test_fault_46_a_silence_after_the_timeout_is_told_too_kbv2():
    async with Peer() as peer, service_for(peer) as (service, record):
        peer.on_call = lambda connection, call: asyncio.sleep(36_000)
        await service.connect()
        with pytest.raises(RequestTimeout):
            await service.request("a", {}, timeout=60)
        await record.until(lambda: bool(record.of(ServerQuiet)))
        assert not record.of(LateAnswer)
        assert service.epoch == 1
