"""The long run: two hundred documents while the server is killed and restarted at random.

Two minutes each by default; `KBTUI_LONG_MINUTES=8` makes it the eight that the goal names.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path

import pytest

from kbtui.connection import Backoff, ConnectionService, Endpoint
from kbtui.ingest.events import IngestEvent, JobChanged
from kbtui.ingest.jobs import Job, JobState
from kbtui.ingest.journal import Journal
from kbtui.ingest.policy import QueuePolicy
from kbtui.ingest.queue import IngestQueue
from tests import prose
from tests.kbv2.replay import ReplayServer
from tests.processes import alive, events, server_pid, start_kbtui

pytestmark = [pytest.mark.long, pytest.mark.timeout(0)]

MINUTES = float(os.environ.get("KBTUI_LONG_MINUTES", "2"))
DOCUMENTS = 200
WINDOWS_A_SECOND = 130
"""About what the embedded server embeds on two busy cores (`tests.benchmarks.embedding`)."""

WINDOW_CHARACTERS = 1_000


def folder_of_documents(folder: Path) -> Path:
    """Two hundred distinct documents that take the embedded server about `MINUTES`."""
    folder.mkdir()
    chance = random.Random(11)
    words = prose.TIDAL.split() + prose.BEES.split()
    windows = max(1, int(MINUTES * 60 * WINDOWS_A_SECOND / DOCUMENTS))
    for number in range(DOCUMENTS):
        text = " ".join(chance.choices(words, k=windows * WINDOW_CHARACTERS // 7))
        (folder / f"document-{number:03}.txt").write_text(f"Document {number}\n\n{text}.\n")
    return folder


def test_native_each_document_is_stored_exactly_once(home: Path, tmp_path: Path) -> None:
    folder = folder_of_documents(tmp_path / "documents")
    chance = random.Random(5)
    running = start_kbtui("ingest", folder, "--json", home=home)
    assert running.stdout is not None
    lines: list[str] = []
    kills, next_kill = 0, math.inf
    for line in running.stdout:
        lines.append(line)
        if '"connected"' in line:
            next_kill = time.monotonic() + chance.uniform(1, 25)
        pid = server_pid(home)
        if time.monotonic() >= next_kill and pid is not None and alive(pid):
            os.kill(pid, chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            kills += 1
            next_kill = math.inf
    running.communicate()
    assert running.returncode == 0
    summary = events("".join(lines))[-1]
    assert (summary["completed"], summary["unknown"]) == (DOCUMENTS, 0)
    with sqlite3.connect(home / "data" / "knowledge.db") as connection:
        stored = connection.execute("SELECT count(*), count(DISTINCT sha256) FROM documents")
        assert stored.fetchone() == (DOCUMENTS, DOCUMENTS)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert kills >= MINUTES * 2
    print(f"{kills} kills in {summary['duration']:.0f} s")


async def test_kbv2_nothing_is_submitted_twice(tmp_path: Path) -> None:
    folder = folder_of_documents(tmp_path / "documents")
    chance = random.Random(6)
    # Recorded at 1.8 s a document: as fast as fills the time.
    server = ReplayServer("2026-01-29", speed=MINUTES * 60 / DOCUMENTS / 1.8 / 1.5)
    await server.start()
    service = ConnectionService(Endpoint(server.url), backoff=Backoff(cap=2.0))
    journal = await Journal.open(tmp_path / "state")
    queue = IngestQueue(service, journal, "the server", QueuePolicy(quiet=2.0))
    last: dict[str, Job] = {}

    def listener(event: IngestEvent) -> None:
        if isinstance(event, JobChanged):
            last[event.job.job_id] = event.job

    queue.subscribe(listener)
    queue.start()
    service.start()
    await queue.add(sorted(folder.iterdir()))
    done = asyncio.create_task(queue.join())
    kills = 0
    try:
        async with asyncio.timeout(MINUTES * 60 * 4):
            while not done.done():
                await asyncio.wait({done}, timeout=chance.uniform(2, 15))
                if done.done():
                    break
                await chance.choice([server.kill, server.terminate])()
                kills += 1
                await asyncio.wait({done}, timeout=chance.uniform(0.1, 3))
                await server.start()
    finally:
        done.cancel()
        await queue.aclose()
        await service.aclose()
        await journal.aclose()
        await server.terminate()
    states = Counter(job.state for job in last.values())
    print(f"{kills} kills: {dict(states)}")
    assert sum(states.values()) == DOCUMENTS
    assert set(states) <= {JobState.COMPLETED, JobState.UNKNOWN}
    assert states[JobState.UNKNOWN] <= kills, "only what was out at a kill is unknown"
    assert set(server.ingestions.values()) == {1}
    for job in last.values():
        if job.state is JobState.COMPLETED:
            assert server.completed[job.path] == 1
