"""The queue against real servers: KBV2 as recorded, and the embedded one; with lost connections."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from kbtui.ingest.events import (
    Attribution,
    JobProgressed,
    ProgressUnattributed,
)
from kbtui.ingest.jobs import JobState
from kbtui.server.knowledge_base import KnowledgeBase
from tests.ingest.running import running
from tests.kbv2.recordings import Script, versions
from tests.kbv2.replay import Faults, ReplayServer
from tests.make_data import mixed_folder
from tests.serving import serving


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "docs"
    folder.mkdir()
    return mixed_folder(folder, 4)


@pytest.mark.parametrize("version", versions())
async def test_kbv2_every_progress_report_reaches_its_document(
    version: str, tmp_path: Path, files: list[Path]
) -> None:
    async with ReplayServer(version) as server, running(tmp_path / "s", server.url) as run:
        jobs = await run.queue.add(files, domain="technology")
        await run.finish()
        recorded = len(server.recording.success.frames)
        for job in jobs:
            assert run.states(job) == ["queued", "submitting", "running", "completed"]
            mine = [
                e for e in run.events if isinstance(e, JobProgressed) and e.job_id == job.job_id
            ]
            assert len(mine) == recorded
            assert {e.attribution for e in mine} == {Attribution.INFERRED}
        assert not any(isinstance(e, ProgressUnattributed) for e in run.events)
        assert set(server.ingestions.values()) == {1}


class ElsewhereServer(ReplayServer):
    """A server that does not see our files."""

    def _script(self, path: str) -> Script:
        return self.recording.failures["does_not_exist.md"]


@pytest.mark.parametrize("version", versions())
async def test_kbv2_a_failure_is_told_in_one_sentence(
    version: str, tmp_path: Path, files: list[Path]
) -> None:
    async with ElsewhereServer(version) as server, running(tmp_path / "s", server.url) as run:
        (job,) = await run.queue.add(files[:1])
        await run.finish()
        assert run.last(job).state is JobState.FAILED
        error = run.last(job).error or ""
        assert "does_not_exist" in error or "file" in error.lower()
        assert "Error processing" not in error


async def test_kbv2_a_lost_answer_is_unknown_and_not_sent_again(
    tmp_path: Path, files: list[Path]
) -> None:
    faults = Faults(drop_after=5)
    async with (
        ReplayServer("2026-01-29", faults=faults) as server,
        running(tmp_path / "s", server.url, quiet=0.3) as run,
    ):
        jobs = await run.queue.add(files)
        await run.finish()
        states = [run.last(job).state for job in jobs]
        assert states == ["unknown", "completed", "completed", "completed"]
        assert "lost with the connection" in (run.last(jobs[0]).reason or "")
        assert run.states(jobs[0])[-3:] == ["interrupted", "reconciling", "unknown"]
        assert set(server.ingestions.values()) == {1}


async def test_kbv2_resubmits_only_with_consent(tmp_path: Path, files: list[Path]) -> None:
    async with (
        ReplayServer("2026-01-29", faults=Faults(drop_after=5)) as server,
        running(tmp_path / "s", server.url, quiet=0.3, resubmit_unknown=True) as run,
    ):
        jobs = await run.queue.add(files[:1])
        await run.finish()
        assert run.last(jobs[0]).state is JobState.COMPLETED
        assert server.ingestions[str(files[0])] == 2


async def test_kbv2_skips_what_the_journal_knows_as_done(tmp_path: Path, files: list[Path]) -> None:
    copy = files[0].with_name("copy" + files[0].suffix)
    copy.write_bytes(files[0].read_bytes())
    async with (
        ReplayServer("2026-02-05") as server,
        running(tmp_path / "s", server.url) as run,
    ):
        first, second = await run.queue.add([files[0], copy])
        await run.finish()
        assert run.last(first).state is JobState.COMPLETED
        assert run.last(second).state is JobState.SKIPPED
        assert run.last(second).reason == f"duplicate of {files[0].name}"
        assert server.ingestions[str(copy)] == 0


async def test_native_reports_are_exact_with_several_at_once(
    tmp_path: Path, files: list[Path]
) -> None:
    async with (
        serving(tmp_path / "kb", tmp_path) as url,
        running(tmp_path / "s", url) as run,
    ):
        jobs = await run.queue.add(files)
        await run.finish()
        assert [run.last(job).state for job in jobs] == ["completed"] * 4
        reports = [e for e in run.events if isinstance(e, JobProgressed)]
        assert {e.attribution for e in reports} == {Attribution.EXACT}
        owner = {e.progress.document_id: e.job_id for e in reports}
        assert all(owner[e.progress.document_id] == e.job_id for e in reports)


async def test_native_a_restarted_server_gets_each_document_once(
    tmp_path: Path, files: list[Path]
) -> None:
    kb = tmp_path / "kb"
    async with AsyncExitStack() as stack:
        async with serving(kb, tmp_path) as url:
            run = await stack.enter_async_context(running(tmp_path / "s", url))
            waiting = run.until(JobState.RUNNING)
            jobs = await run.queue.add(files)
            await asyncio.wait_for(waiting, 60)
        # The server has stopped in the middle. The same port again:
        port = int(url.rpartition(":")[2].partition("/")[0])
        async with serving(kb, tmp_path, port=port):
            await run.finish()
        assert [run.last(job).state for job in jobs] == ["completed"] * 4
        assert "interrupted" in {state for job in jobs for state in run.states(job)}
        for job in jobs:
            document_id = run.last(job).document_id
            told = [r for r in run.reports(job) if r.document_id == document_id]
            assert [(r.stage, r.status) for r in (told[0], told[-1])] == [
                (0, "started"),
                (9, "completed"),
            ]
    knowledge_base = await KnowledgeBase.open(kb)
    assert (await knowledge_base.counts()).documents == 4
    await knowledge_base.aclose()


async def test_what_an_ended_process_left_is_continued(tmp_path: Path, files: list[Path]) -> None:
    async with serving(tmp_path / "kb", tmp_path) as url:
        async with running(tmp_path / "s", url) as first:
            waiting = first.until(JobState.RUNNING)
            jobs = await first.queue.add(files)
            await asyncio.wait_for(waiting, 60)
        async with running(tmp_path / "s", url) as second:
            adopted = await second.queue.adopt()
            assert {job.job_id for job in adopted} <= {job.job_id for job in jobs}
            await second.finish()
            assert all(second.last(job).state is JobState.COMPLETED for job in adopted)
            # Nothing is left for a third one.
            assert await second.queue.adopt() == []


async def test_cancel_and_retry(tmp_path: Path, files: list[Path]) -> None:
    async with (
        ReplayServer("2026-02-05", faults=Faults(hold_after=1)) as server,
        running(tmp_path / "s", server.url) as run,
    ):
        jobs = await run.queue.add(files[:3])
        await asyncio.wait_for(server.holding.wait(), 30)
        assert await run.queue.cancel(jobs[2].job_id) is None
        assert "still queued" in (await run.queue.cancel(jobs[0].job_id) or "")
        assert "can be tried again" in (await run.queue.retry(jobs[0].job_id) or "")
        assert await run.queue.retry(jobs[2].job_id) is None
        server.faults.hold_after = None
        server.release()
        await run.finish()
        assert [run.last(job).state for job in jobs] == ["completed"] * 3


async def test_a_file_that_vanishes_or_is_empty_fails_alone(
    tmp_path: Path, files: list[Path]
) -> None:
    empty = tmp_path / "docs" / "empty.md"
    empty.touch()
    gone = tmp_path / "docs" / "gone.md"
    async with ReplayServer("2026-01-29") as server, running(tmp_path / "s", server.url) as run:
        jobs = await run.queue.add([empty, gone, *files])
        await run.finish()
        states = [run.last(job).state for job in jobs]
        assert states == ["failed", "failed", *["completed"] * 4]
        assert run.last(jobs[0]).error == "the file is empty"
        assert run.last(jobs[1]).error == "the file has vanished"


async def test_a_timeout_makes_the_outcome_unknown_and_a_late_answer_settles_it(
    tmp_path: Path, files: list[Path]
) -> None:
    async with (
        ReplayServer("2026-01-29", faults=Faults(hold_after=3)) as server,
        running(tmp_path / "s", server.url, timeout=0.3) as run,
    ):
        (job,) = await run.queue.add(files[:1])
        await run.finish()
        assert run.last(job).state is JobState.UNKNOWN
        assert run.last(job).timed_out
        settled = run.until(JobState.COMPLETED)
        server.release()
        await asyncio.wait_for(settled, 60)
        assert run.last(job).document_id
