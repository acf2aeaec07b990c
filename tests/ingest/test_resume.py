"""Connections cut at any byte: nothing is ingested twice, no result and no report is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbtui.ingest.jobs import JobState
from kbtui.ingest.seen import SeenReports
from kbtui.protocol.messages import Progress
from tests.ingest.cutting import CuttingProxy, Direction, cutting
from tests.ingest.running import Run, running
from tests.resuming import in_store, long_document
from tests.serving import serving

WORDS = "anchor barley cobalt drizzle ember fjord granite hazel indigo juniper kelp lichen".split()


@dataclass
class Bench:
    """A queue that reaches its server through a proxy which cuts the line."""

    run: Run
    proxy: CuttingProxy
    folder: Path
    documents: int = 0
    milestones: list[tuple[float | None, str]] | None = None
    length: int = 0
    """Bytes of one ingestion's stream, from the server."""

    def document(self) -> Path:
        """A small file of its own content."""
        self.documents += 1
        number = self.documents
        text = " ".join(WORDS[number * k % len(WORDS)] for k in range(1, 30))
        path = self.folder / f"document-{number:05}.md"
        path.write_text(f"# Number {number}\n\nThe {number}th text is about {text}.\n")
        return path

    async def ingest(self, *cuts: tuple[Direction, int]) -> None:
        """Ingest one document with the line cut, and check that nothing shows of it."""
        path = self.document()
        if cuts:
            self.proxy.arm(*cuts)
        before = self.proxy.passed_down
        (job,) = await self.run.queue.add([path])
        await self.run.finish()
        if cuts:
            self.proxy.arm()
        assert self.run.last(job).state is JobState.COMPLETED, (cuts, self.run.last(job))
        reports = self.run.reports(job)
        numbers = [report.sequence for report in reports]
        assert numbers == sorted(set(numbers)), cuts
        assert len({report.document_id for report in reports}) == 1, cuts
        told = [(r.stage, r.status) for r in reports if r.status != "progress"]
        if self.milestones is None:
            self.milestones, self.length = told, self.proxy.passed_down - before
        assert told == self.milestones, cuts


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    async with (
        serving(folder / "kb", folder) as url,
        cutting(url) as proxy,
        running(folder / "state", proxy.url) as run,
    ):
        made = Bench(run, proxy, folder)
        for _ in range(4):  # loads the model; the compression gets to know the stream
            made.milestones = None
            await made.ingest()
        yield made


async def sweep(folder: Path, step: Iterable[tuple[Direction, int]] | None, parts: int) -> None:
    async with bench(folder) as made:
        stride = max(1, made.length // parts)
        places: list[tuple[Direction, int]] = [
            ("down", offset) for offset in range(0, made.length + stride, stride)
        ]
        places += step or ()
        for place in places:
            await made.ingest(place)
        assert made.proxy.cuts >= len(places) * 0.8
        assert in_store(folder / "kb") == made.documents


async def test_cut_once_anywhere(tmp_path: Path) -> None:
    await sweep(tmp_path, [("up", offset) for offset in range(0, 300, 30)], 50)


@pytest.mark.long
async def test_cut_once_at_every_byte(tmp_path: Path) -> None:
    await sweep(tmp_path, [("up", offset) for offset in range(300)], 1_000_000)


async def test_cut_again_and_again(tmp_path: Path) -> None:
    # The reconnects are cut as well, some of them in the middle of the handshake.
    async with bench(tmp_path) as made:
        for round_number in range(8):
            offsets = [(round_number * 37 + k * 211) % (made.length + 300) for k in range(5)]
            await made.ingest(*(("down", offset) for offset in offsets))
        assert made.proxy.cuts >= 20
        assert in_store(tmp_path / "kb") == made.documents


@given(st.lists(st.integers(0, 40), max_size=10), st.integers(1, 40))
def test_whatever_is_replayed_every_report_is_seen_once(cuts: list[int], length: int) -> None:
    seen = SeenReports()
    taken: list[int] = []
    for reach in [*cuts, length]:
        # A server that replays from any place up to the one asked for, then goes on.
        _, position = seen.position("job")
        start = min(position or 0, reach) // 2
        for number in range(start + 1, min(reach, length) + 1):
            report = Progress(1, "started", "", document_id="d", sequence=number)
            if seen.is_new("job", report):
                taken.append(number)
    assert taken == list(range(1, length + 1))


def test_reports_of_another_run_or_without_a_number_are_new() -> None:
    seen = SeenReports()
    for document_id in ("d1", "d2"):
        report = Progress(1, "started", "", document_id=document_id, sequence=1)
        assert seen.is_new("job", report)
        assert not seen.is_new("job", report)
        assert seen.position("job") == (document_id, 1)
    assert seen.runs("job") == 2
    plain = Progress(1, "started", "")
    assert seen.is_new("job", plain)
    assert seen.is_new("job", plain)
    seen.forget("job")
    assert seen.position("job") == (None, None)
    assert seen.runs("job") == 0


async def test_a_connection_that_stays_away_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "kb", tmp_path) as url,
        cutting(url) as proxy,
        running(tmp_path / "state", proxy.url, timeout=0.4) as run,
    ):
        made = Bench(run, proxy, tmp_path)
        await made.ingest()
        proxy.arm(*[("down", 60)] * 1000)
        (job,) = await run.queue.add([made.document()])
        await run.finish()
        assert run.last(job).state is JobState.UNKNOWN
        assert "did not come back in time" in (run.last(job).reason or "")


async def test_a_document_that_ends_its_server_each_time_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kbtui.ingest.runner.MOST_RUNS", 2)
    path = long_document(tmp_path / "long.md")
    port, run = 0, None
    async with AsyncExitStack() as stack:
        for _ in range(2):
            async with serving(tmp_path / "kb", tmp_path, port=port) as url:
                port = int(url.rpartition(":")[2].partition("/")[0])
                if run is None:
                    run = await stack.enter_async_context(running(tmp_path / "state", url))
                    begun = run.until_stage(0)
                    (job,) = await run.queue.add([path])
                await asyncio.wait_for(begun, 60)
                begun = run.until_stage(0)
        assert run is not None
        await run.finish()
        assert run.last(job).state is JobState.UNKNOWN
        assert "begun it 2 times in vain" in (run.last(job).reason or "")


async def test_cancelling_a_running_document(tmp_path: Path) -> None:
    path = long_document(tmp_path / "long.md")
    async with (
        serving(tmp_path / "kb", tmp_path) as url,
        running(tmp_path / "state", url) as run,
    ):
        embedding = run.until_stage(5)
        (job,) = await run.queue.add([path])
        await asyncio.wait_for(embedding, 60)
        assert await run.queue.cancel(job.job_id) is None
        await run.finish()
        assert run.states(job)[-2:] == ["running", "cancelled"]
        assert "queued or running" in (await run.queue.cancel(job.job_id) or "")
        assert in_store(tmp_path / "kb") == 0
        # The same document again, by hand: it is ingested, whatever its first attempt's end was.
        path.write_text("# Short\n\nThis is quickly done.\n")
        assert await run.queue.retry(job.job_id) is None
        await run.finish()
        assert run.last(job).state is JobState.COMPLETED
        assert in_store(tmp_path / "kb") == 1


async def test_cancelling_at_any_moment_of_the_queue(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "kb", tmp_path) as url,
        cutting(url) as proxy,
        running(tmp_path / "state", proxy.url, skip_duplicates=False) as run,
    ):
        made = Bench(run, proxy, tmp_path)
        await made.ingest()
        completed = 1
        for turns in range(0, 60, 4):
            (job,) = await run.queue.add([made.document()])
            for _ in range(turns):
                await asyncio.sleep(0)
            refusal = await run.queue.cancel(job.job_id)
            await run.finish()
            assert run.last(job).state is (
                JobState.CANCELLED if refusal is None else JobState.COMPLETED
            ), refusal
            completed += 1
            if refusal is None:
                assert in_store(tmp_path / "kb") == completed - 1
                assert await run.queue.retry(job.job_id) is None
                await run.finish()
                assert run.last(job).state is JobState.COMPLETED, turns
        assert in_store(tmp_path / "kb") == completed


async def test_what_cannot_be_told_is_not_called_cancelled(tmp_path: Path) -> None:
    path = long_document(tmp_path / "long.md")
    async with AsyncExitStack() as stack:
        async with serving(tmp_path / "kb", tmp_path) as url:
            run = await stack.enter_async_context(running(tmp_path / "state", url))
            begun, lost = run.until_stage(1), run.until(JobState.INTERRUPTED)
            (job,) = await run.queue.add([path])
            await asyncio.wait_for(begun, 60)
        await asyncio.wait_for(lost, 60)
        assert "could not be told" in (await run.queue.cancel(job.job_id) or "")
        assert run.last(job).state is JobState.INTERRUPTED
