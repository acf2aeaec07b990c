"""Fault 51: `kill -9` at every step of the journal."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from kbtui.ingest.jobs import JobState
from tests.connection.support import Peer
from tests.ingest.faults.test_fault_37_38_queue import completed
from tests.ingest.test_queue import running

# The journal's writes for one document: 1 queued, 2 submitting, 3 running, 4 completed.
ROOT = Path(__file__).parents[3]
STEPS = [(step, when) for step in (1, 2, 3, 4) for when in ("before", "after")]


@pytest.mark.parametrize(("step", "when"), STEPS)
@pytest.mark.parametrize("native", [False, True])
async def test_fault_51_what_a_killed_kbtui_left(
    tmp_path: Path, native: bool, step: int, when: str
) -> None:
    document = tmp_path / "a.md"
    document.write_text("Some text.")
    state = tmp_path / "s"

    async def answer(connection: Any, call: dict[str, Any]) -> None:
        await connection.send(completed(call))

    async with Peer(native=native) as peer:
        peer.on_call = answer
        arguments = [str(state), peer.url, str(document), str(step), when]
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.ingest.faults.killed", *arguments, cwd=ROOT
        )
        async with asyncio.timeout(60):
            assert await child.wait() == -signal.SIGKILL
        sent_before = len(peer.calls)
        async with running(state, peer.url, quiet=0.05) as run:
            adopted = await run.queue.adopt()
            await run.finish()
            last = [run.last(job) for job in adopted]
            seen = {each for job in adopted for each in run.states(job)}

        recorded = step - 1 if when == "before" else step
        assert len(adopted) == (0 if recorded in (0, 4) else 1)
        if recorded in (2, 3):
            # It may have been sent, so that it is shown as interrupted.
            assert JobState.INTERRUPTED in seen
        if native:
            assert len({call["params"]["idempotency_key"] for call in peer.calls}) <= 1
            assert [job.state for job in last] == [JobState.COMPLETED] * len(last)
        else:
            assert len(peer.calls) <= 1, "nothing is sent twice unasked"
            if sent_before and last:
                assert last[0].state is JobState.UNKNOWN
