"""A queue at work against a server, and everything that it told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kbtui.connection import Backoff, ConnectionService, Endpoint
from kbtui.ingest.events import IngestEvent, JobChanged, JobProgressed
from kbtui.ingest.jobs import Job, JobState
from kbtui.ingest.journal import Journal
from kbtui.ingest.policy import QueuePolicy
from kbtui.ingest.queue import IngestQueue
from kbtui.protocol.messages import Progress

QUICK = Backoff(base=0.01, factor=1.2, cap=0.1)


@dataclass
class Run:
    """A queue at work, and everything that it told."""

    queue: IngestQueue
    service: ConnectionService
    events: list[IngestEvent] = field(default_factory=list)

    def states(self, job: Job) -> list[JobState]:
        return [
            e.job.state
            for e in self.events
            if isinstance(e, JobChanged) and e.job.job_id == job.job_id
        ]

    def last(self, job: Job) -> Job:
        return [
            e.job for e in self.events if isinstance(e, JobChanged) and e.job.job_id == job.job_id
        ][-1]

    def reports(self, job: Job) -> list[Progress]:
        return [
            e.progress
            for e in self.events
            if isinstance(e, JobProgressed) and e.job_id == job.job_id
        ]

    async def finish(self) -> None:
        async with asyncio.timeout(60):
            await self.queue.join()

    def until(self, state: JobState) -> asyncio.Future[None]:
        """Done once a job is told to be in `state`, from now on."""
        seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def listener(event: IngestEvent) -> None:
            if isinstance(event, JobChanged) and event.job.state is state and not seen.done():
                seen.set_result(None)

        self.queue.subscribe(listener)
        return seen

    def until_stage(self, stage: float, status: str = "started") -> asyncio.Future[None]:
        """Done once a job is told to have started a stage, from now on."""
        seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def listener(event: IngestEvent) -> None:
            if not isinstance(event, JobProgressed) or seen.done():
                return
            if (event.progress.stage, event.progress.status) == (stage, status):
                seen.set_result(None)

        self.queue.subscribe(listener)
        return seen


@asynccontextmanager
async def running(state: Path, url: str, **policy: Any) -> AsyncIterator[Run]:
    service = ConnectionService(Endpoint(url), backoff=QUICK)
    journal = await Journal.open(state)
    queue = IngestQueue(service, journal, "the server", QueuePolicy(**policy))
    run = Run(queue, service)
    queue.subscribe(run.events.append)
    queue.start()
    service.start()
    try:
        yield run
    finally:
        await queue.aclose()
        await service.aclose()
        await journal.aclose()
