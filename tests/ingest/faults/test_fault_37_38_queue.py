"""Faults 37 and 38: answers that are lost with their connection, progress that nobody owns."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from kbtui.ingest.events import JobProgressed, ProgressUnattributed
from kbtui.ingest.jobs import JobState
from kbtui.protocol.methods import INGEST
from tests.connection.support import Peer
from tests.ingest.test_queue import running
from tests.kbv2.replay import Faults, ReplayServer

PROGRESS = {"type": "progress", "stage": 1, "status": "started", "message": "whose?"}


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "a.md"
    path.write_text("Some text.")
    return path


def completed(call: dict[str, Any]) -> str:
    result = {"document_id": "d", "document_name": "a.md", "status": "completed"}
    result |= {"domain": "general", "duration": 1.0}
    return json.dumps({"result": result, "error": None, "id": call["id"]})


async def test_fault_37_a_lost_answer_is_asked_for_again_by_its_key_native(
    tmp_path: Path, document: Path
) -> None:
    async def lose_twice(connection: Any, call: dict[str, Any]) -> None:
        if len(peer.calls) <= 2:
            connection.transport.abort()
        else:
            await connection.send(completed(call))

    async with Peer(native=True) as peer:
        peer.on_call = lose_twice
        async with running(tmp_path / "s", peer.url) as run:
            (job,) = await run.queue.add([document])
            await run.finish()
            assert run.last(job).state is JobState.COMPLETED
            assert "interrupted" in run.states(job)
        keys = [call["params"]["idempotency_key"] for call in peer.calls]
        assert len(keys) == 3
        assert set(keys) == {job.key}


@pytest.mark.parametrize("close_code", [None, 1011, 1012])
async def test_fault_37_a_lost_answer_is_unknown_and_never_asked_for_again_kbv2(
    tmp_path: Path, document: Path, close_code: int | None
) -> None:
    faults = Faults(drop_after=3, close_code=close_code)
    async with (
        ReplayServer("2026-01-29", faults=faults) as server,
        running(tmp_path / "s", server.url, quiet=0.1) as run,
    ):
        (job,) = await run.queue.add([document])
        await run.finish()
        last = run.last(job)
        assert last.state is JobState.UNKNOWN
        assert "lost with the connection" in (last.reason or "")
        assert server.ingestions == {str(document): 1}


@pytest.mark.parametrize("native", [False, True])
async def test_fault_38_progress_that_nobody_owns_moves_no_bar(
    tmp_path: Path, document: Path, native: bool
) -> None:
    """KBV2: a stranger's, before anything of ours is out. Native: of a request that is not ours."""

    async def strangers(connection: Any) -> None:
        await connection.send(json.dumps({**PROGRESS, "request_id": "another's"}))
        await connection.send(json.dumps(PROGRESS))

    async def answer(connection: Any, call: dict[str, Any]) -> None:
        if native:
            await connection.send(json.dumps({**PROGRESS, "request_id": "another's"}))
        await connection.send(completed(call))

    async with Peer(native=native) as peer:
        peer.on_connect, peer.on_call = strangers, answer
        async with running(tmp_path / "s", peer.url) as run:
            async with asyncio.timeout(30):
                while sum(isinstance(e, ProgressUnattributed) for e in run.events) < 2:
                    await asyncio.sleep(0.01)
            (job,) = await run.queue.add([document])
            await run.finish()
            assert run.last(job).state is JobState.COMPLETED
            unattributed = [e for e in run.events if isinstance(e, ProgressUnattributed)]
            assert len(unattributed) == (3 if native else 2)
            assert not any(isinstance(e, JobProgressed) for e in run.events)
        assert [call["method"] for call in peer.calls] == [INGEST]
