"""The journal on a real disk: what is written stays, what is orphaned is adopted."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kbtui.ingest.jobs import Job, JobState
from kbtui.ingest.journal import SCHEMA_VERSION, Journal, JournalError

SERVER = "ws://somewhere/ws"


def job(job_id: str, state: JobState = JobState.QUEUED, **more: object) -> Job:
    made = Job(
        job_id, f"/docs/{job_id}.md", f"{job_id}.md", None, SERVER, f"key {job_id}", state, 1.0
    )
    return replace(made, **more)  # type: ignore[arg-type]


async def test_jobs_come_back_as_they_were(tmp_path: Path) -> None:
    first = await Journal.open(tmp_path)
    odd = os.fsdecode(b"/docs/caf\xe9.md")
    full = job(
        "full", path=odd, domain="d", size=3, sha256="ab", attempt=2, started_at=2.0, reason="r"
    )
    await first.add([full])
    running = replace(full, state=JobState.SUBMITTING)
    await first.update(running, JobState.QUEUED)
    await first.aclose()
    second = await Journal.open(tmp_path)
    assert await second.adopt(SERVER) == [running]
    assert await second.adopt(SERVER) == [], "they are ours now"
    await second.aclose()


async def test_only_dead_owners_lose_their_jobs(tmp_path: Path) -> None:
    living, other = await Journal.open(tmp_path), await Journal.open(tmp_path)
    await living.add([job("a"), job("b"), job("c", JobState.COMPLETED)])
    assert await other.adopt(SERVER) == []
    await living.aclose()
    assert await other.adopt("another server") == []
    assert [j.job_id for j in await other.adopt(SERVER, {"/docs/b.md"})] == ["b"]
    assert [j.job_id for j in await other.adopt(SERVER)] == ["a"]
    await other.aclose()


async def test_two_adopt_and_each_job_goes_to_one(tmp_path: Path) -> None:
    dead = await Journal.open(tmp_path)
    await dead.add([job(f"j{number}") for number in range(20)])
    await dead.aclose()
    heirs = [await Journal.open(tmp_path) for _ in range(4)]
    shares = await asyncio.gather(*(heir.adopt(SERVER) for heir in heirs))
    adopted = sorted(j.job_id for share in shares for j in share)
    assert adopted == sorted(f"j{number}" for number in range(20))
    for heir in heirs:
        await heir.aclose()


async def test_same_content_is_found_by_server_and_domain(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path)
    await journal.add(
        [
            job("plain", sha256="s"),
            job("domain", sha256="s", domain="d"),
            job("other", sha256="s", server="elsewhere"),
        ]
    )
    assert [j.job_id for j in await journal.same_content(SERVER, None, "s")] == ["plain"]
    assert [j.job_id for j in await journal.same_content(SERVER, "d", "s")] == ["domain"]
    await journal.aclose()


async def test_a_newer_journal_is_refused(tmp_path: Path) -> None:
    await (await Journal.open(tmp_path)).aclose()
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(JournalError, match="newer kbtui"):
        await Journal.open(tmp_path)


async def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"this is not a database, whatever it says" * 100)
    with pytest.raises(JournalError, match="cannot open the journal"):
        await Journal.open(tmp_path)


async def test_the_journal_is_private(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path)
    assert (tmp_path / "journal.db").stat().st_mode & 0o077 == 0
    await journal.aclose()


WRITER = """
import asyncio, sys
from pathlib import Path
from tests.ingest.test_journal import Journal, JobState, job, replace

async def main():
    journal = await Journal.open(Path(sys.argv[1]))
    for number in range(100_000):
        mine = job(f"w{number:06}")
        await journal.add([mine])
        print("queued", mine.job_id, flush=True)
        await journal.update(replace(mine, state=JobState.SUBMITTING), JobState.QUEUED)
        print("submitting", mine.job_id, flush=True)

asyncio.run(main())
"""


async def test_kill_9_loses_nothing_that_was_told(tmp_path: Path) -> None:
    for run in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(20 + run)]
        writer.send_signal(signal.SIGKILL)
        told += writer.stdout.readlines()
        writer.wait()
        writer.stdout.close()
        journal = await Journal.open(tmp_path)
        adopted = {j.job_id: j.state for j in await journal.adopt(SERVER)}
        last = dict(reversed(line.split()) for line in told if line.endswith("\n"))
        for job_id, state in last.items():
            # The one that was being written when the process died may be one step further.
            assert adopted[job_id] in (state, JobState.SUBMITTING)
        for found in adopted:
            ended = job(found, adopted[found])
            await journal.update(replace(ended, state=JobState.FAILED), ended.state)
        await journal.aclose()
