"""Documents on a machine whose files the server does not see."""

from __future__ import annotations

import asyncio
import base64
import random
from pathlib import Path
from typing import Any

import pytest

from kbtui.connection import NotConnected
from kbtui.ingest.events import IngestEvent, JobProgressed
from kbtui.ingest.jobs import Job, JobState
from kbtui.protocol.messages import Response
from kbtui.protocol.methods import INGEST, PIECE_BYTES
from tests.ingest.cutting import Direction, cutting
from tests.ingest.running import Run, running
from tests.resuming import in_store
from tests.serving import serving

LARGE = 12 * PIECE_BYTES


def page(path: Path, size: int = LARGE, seed: int = 0) -> Path:
    """A web page of so many bytes, few of which are text."""
    noise = base64.b64encode(random.Random(seed).randbytes(size)).decode()[:size]
    path.write_text(f"<html><!-- {noise} --><body><p>Page {seed} is about kites.</p></body></html>")
    return path


def sent(run: Run, job: Job) -> list[int]:
    return [r.current or 0 for r in run.reports(job) if "sending" in r.message]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


def nothing_left(kb: Path) -> bool:
    return [path.name for path in (kb / "uploads").rglob("*")] == ["lent"]


async def test_what_the_server_does_not_see_is_sent(tmp_path: Path, root: Path) -> None:
    kb = tmp_path / "kb"
    async with serving(kb, root) as url, running(tmp_path / "s", url) as run:
        hidden, seen = page(tmp_path / "hidden.html"), page(root / "seen.html", seed=1)
        first, second = await run.queue.add([hidden, seen])
        await run.finish()
        assert run.states(first) == ["queued", "submitting", "running", "completed"]
        assert sent(run, first)[-1] < run.last(first).size
        assert sent(run, first) == sorted(sent(run, first))
        assert run.last(second).state is JobState.COMPLETED
        assert sent(run, second) == []
        (copy,) = await run.queue.add([page(tmp_path / "copy.html")])
        await run.finish()
        assert run.last(copy).state is JobState.SKIPPED
        assert sent(run, copy) == []
    assert in_store(kb) == 2
    assert nothing_left(kb)


async def test_always_and_never(tmp_path: Path, root: Path) -> None:
    async with serving(tmp_path / "kb", root) as url:
        async with running(tmp_path / "a", url, upload="always") as run:
            (job,) = await run.queue.add([page(root / "seen.html")])
            await run.finish()
            assert run.last(job).state is JobState.COMPLETED
            assert sent(run, job)
        async with running(tmp_path / "n", url, upload=None) as run:
            (job,) = await run.queue.add([page(tmp_path / "hidden.html", seed=1)])
            await run.finish()
            assert run.last(job).state is JobState.FAILED
            assert "outside the folders" in (run.last(job).error or "")


async def test_a_file_that_is_too_large_fails_in_one_sentence(tmp_path: Path, root: Path) -> None:
    async with (
        serving(tmp_path / "kb", root, max_upload=1000) as url,
        running(tmp_path / "s", url) as run,
    ):
        (job,) = await run.queue.add([page(tmp_path / "large.html", 2000)])
        await run.finish()
        assert run.last(job).state is JobState.FAILED
        assert "up to 1,000 (--max-upload)" in (run.last(job).error or "")


@pytest.mark.parametrize("change", ["other bytes", "shorter", "gone"])
async def test_a_file_that_changes_while_it_is_sent(
    tmp_path: Path, root: Path, change: str
) -> None:
    path = page(tmp_path / "changing.html")

    def alter(event: IngestEvent) -> None:
        if not isinstance(event, JobProgressed) or "sending" not in event.progress.message:
            return
        if change == "gone":
            path.unlink(missing_ok=True)
        elif change == "shorter":
            path.write_text("<p>Short.</p>")
        else:
            page(path, seed=9)

    async with (
        serving(tmp_path / "kb", root) as url,
        running(tmp_path / "s", url) as run,
    ):
        run.queue.subscribe(alter)
        (job,) = await run.queue.add([path])
        await run.finish()
        assert run.last(job).state is JobState.FAILED
        words = {"other bytes": "other bytes", "shorter": "shorter", "gone": "vanished"}
        assert words[change] in (run.last(job).error or "")
    assert in_store(tmp_path / "kb") == 0


async def test_cut_while_it_is_sent(tmp_path: Path, root: Path) -> None:
    kb = tmp_path / "kb"
    async with (
        serving(kb, root) as url,
        cutting(url) as proxy,
        running(tmp_path / "s", proxy.url) as run,
    ):
        (job,) = await run.queue.add([page(tmp_path / "first.html", 10)])
        await run.finish()
        places: list[tuple[Direction, int]] = [
            *(("up", offset) for offset in range(0, 800_000, 80_000)),
            *(("down", offset) for offset in range(0, 700, 70)),
        ]
        for number, place in enumerate(places, 1):
            proxy.arm(place, ("up", 400_000))
            (job,) = await run.queue.add([page(tmp_path / f"{number}.html", seed=number)])
            await run.finish()
            proxy.arm()
            assert run.last(job).state is JobState.COMPLETED, (place, run.last(job))
            assert sent(run, job) == sorted(sent(run, job)), "it goes on where it was cut"
        assert proxy.cuts >= len(places)
    assert in_store(kb) == len(places) + 1
    assert nothing_left(kb)


async def test_the_line_drops_between_the_file_and_its_ingestion(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        serving(tmp_path / "kb", root) as url,
        running(tmp_path / "s", url) as run,
    ):
        request, ingestions = run.service.request, 0

        async def dropping(method: str, *arguments: Any, **more: Any) -> Response:
            nonlocal ingestions
            ingestions += method == INGEST
            if method == INGEST and ingestions == 2:
                raise NotConnected
            return await request(method, *arguments, **more)

        monkeypatch.setattr(run.service, "request", dropping)
        (job,) = await run.queue.add([page(tmp_path / "page.html")])
        await run.finish()
        assert run.states(job)[2:] == [
            *("running", "interrupted", "reconciling", "running", "completed")
        ]


async def test_the_same_content_sent_by_several_at_once(tmp_path: Path, root: Path) -> None:
    kb = tmp_path / "kb"
    async with (
        serving(kb, root) as url,
        running(tmp_path / "a", url, skip_duplicates=False) as first,
        running(tmp_path / "b", url, skip_duplicates=False) as second,
    ):
        paths = [page(tmp_path / f"{number}.html") for number in range(3)]
        jobs = await first.queue.add(paths)
        others = await second.queue.add(paths)
        await first.finish()
        await second.finish()
        for run, mine in ((first, jobs), (second, others)):
            assert [run.last(job).error for job in mine] == [None] * 3
    assert in_store(kb) == 6
    assert nothing_left(kb)


async def test_cancelled_while_it_is_sent_and_tried_again(tmp_path: Path, root: Path) -> None:
    async with (
        serving(tmp_path / "kb", root) as url,
        running(tmp_path / "s", url) as run,
    ):
        sending = run.until_stage(0, "progress")
        (job,) = await run.queue.add([page(tmp_path / "page.html", 8 * LARGE)])
        await asyncio.wait_for(sending, 60)
        assert await run.queue.cancel(job.job_id) is None
        await run.finish()
        assert run.last(job).state is JobState.CANCELLED
        assert in_store(tmp_path / "kb") == 0
        assert await run.queue.retry(job.job_id) is None
        await run.finish()
        assert run.last(job).state is JobState.COMPLETED
    assert nothing_left(tmp_path / "kb")
