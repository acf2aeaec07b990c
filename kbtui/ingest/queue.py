"""The queue: takes files in, sends them one after another, and says what becomes of each."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from kbtui.connection import (
    ConnectionEvent,
    ConnectionService,
    ConnectionState,
    LateAnswer,
    MessageReceived,
    Mode,
    ServiceClosed,
    StateChanged,
)
from kbtui.ingest.cancelling import cancel_on_server
from kbtui.ingest.decide import Outcome, attribute, outcome_of
from kbtui.ingest.events import (
    Attribution,
    IngestEvent,
    JobChanged,
    JobProgressed,
    ProgressUnattributed,
)
from kbtui.ingest.jobs import ENDED, SENT, IllegalTransition, Job, JobState, check_transition
from kbtui.ingest.journal import Journal, JournalError
from kbtui.ingest.policy import MOST_AT_ONCE, QueuePolicy
from kbtui.ingest.runner import Runner
from kbtui.protocol.messages import Progress, Response

log = logging.getLogger(__name__)


class IngestQueue:
    """Runs jobs against one server, over one connection service, with everything in the journal.

    Lives in the event loop; `start` it once and `aclose` it before the service. Jobs that are
    running at that time stay recorded as interrupted, and continue at the next start.
    """

    def __init__(
        self,
        service: ConnectionService,
        journal: Journal,
        server: str,
        policy: QueuePolicy,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._journal = journal
        self._server = server
        self._policy = policy
        self._now = now
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[str] = deque()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._listeners: list[Callable[[IngestEvent], None]] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._dispatcher: asyncio.Task[None] | None = None
        self._settling: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._runner = Runner(service, journal, policy, self.change, self._report, now)

    def subscribe(self, listener: Callable[[IngestEvent], None]) -> Callable[[], None]:
        """Have `listener` called with every event; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def start(self) -> None:
        """Begin to work: jobs are sent whenever the service is connected."""
        self._unsubscribe = self._service.subscribe(self._on_connection)
        self._note_connection()
        self._dispatcher = asyncio.create_task(self._dispatch(), name="ingest queue")

    @property
    def unfinished(self) -> int:
        """Jobs that have not ended."""
        return len(self._waiting) + len(self._running)

    async def add(
        self, files: Sequence[Path], *, domain: str | None = None, name: str | None = None
    ) -> list[Job]:
        """Queue files; they are in the journal when this returns. Raises JournalError.

        A file that is queued or running already is left out. `name` is for a single file.
        """
        active = {job.path for job in self._jobs.values() if job.state not in ENDED}
        jobs = [
            Job(
                job_id=uuid.uuid4().hex,
                path=str(path),
                name=name or path.name,
                domain=domain,
                server=self._server,
                key=uuid.uuid4().hex,
                state=JobState.QUEUED,
                added_at=self._now(),
            )
            for path in files
            if str(path) not in active
        ]
        await self._journal.add(jobs)
        self._take(jobs)
        return jobs

    async def adopt(self, files: Iterable[Path] | None = None) -> list[Job]:
        """Continue what a kbtui that has ended left unfinished: all of it, or these files'."""
        paths = None if files is None else {str(path) for path in files}
        jobs = await self._journal.adopt(self._server, paths)
        self._take(jobs)
        return jobs

    async def cancel(self, job_id: str) -> str | None:
        """Cancel a job that has not ended; returns why it cannot be, or None when it is.

        What a native server is working on is cancelled there, with nothing left behind. A KBV2
        server goes on whatever we say, so there only queued documents can be cancelled.
        """
        job = self._jobs.get(job_id)
        if job is None or job.state in ENDED:
            return "only a document that is queued or running can be cancelled"
        attempt = job.attempt
        if job_id in self._running or job.state in SENT:
            attempt += job.state not in SENT  # it is about to be sent
            refusal = await cancel_on_server(self._service, job, attempt)
            if refusal is not None:
                return refusal
            await self._stop_working_on(job_id)
        else:
            self._waiting.remove(job_id)
        job = self._jobs[job_id]
        if job.state not in ENDED:
            # The server has noted this attempt as cancelled: the next one is another.
            outcome = Outcome(JobState.CANCELLED, reason="cancelled by hand")
            await self.change(job, outcome, attempt=max(attempt, job.attempt))
        self._note_idle()
        return None

    async def retry(self, job_id: str) -> str | None:
        """Queue an ended job again; returns why it cannot be, or None when it is."""
        job = self._jobs.get(job_id)
        if job is None or job.state not in ENDED or job.state is JobState.COMPLETED:
            return "only a document that failed, was skipped or cancelled can be tried again"
        self._take([await self.change(job, Outcome(JobState.QUEUED))], known=True)
        return None

    async def join(self) -> None:
        """Wait until every job has ended."""
        await self._idle.wait()

    async def aclose(self) -> None:
        """Stop sending; what is under way is left to the server and the next start."""
        self._unsubscribe()
        tasks = [*self._running.values(), *self._settling]
        if self._dispatcher is not None:
            tasks.append(self._dispatcher)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()

    async def change(self, job: Job, outcome: Outcome, **more: Any) -> Job:
        """Move a job to the outcome's state: legal, in the journal, then told to everyone."""
        check_transition(job.state, outcome.state)
        ended = outcome.state in ENDED
        changed = replace(
            job,
            state=outcome.state,
            document_id=outcome.document_id or job.document_id,
            error=outcome.error,
            reason=outcome.reason,
            timed_out=outcome.timed_out,
            finished_at=self._now() if ended else None,
            **more,
        )
        self._jobs[job.job_id] = changed
        await self._journal.update(changed, job.state)
        self._emit(JobChanged(changed, job.state))
        return changed

    async def _stop_working_on(self, job_id: str) -> None:
        task = self._running.get(job_id)
        if task is None:
            with suppress(ValueError):  # it may have ended meanwhile
                self._waiting.remove(job_id)
            return
        if self._jobs[job_id].state not in ENDED:
            task.cancel()
        await asyncio.wait({task})

    def _take(self, jobs: Sequence[Job], *, known: bool = False) -> None:
        for job in jobs:
            self._jobs[job.job_id] = job
            self._waiting.append(job.job_id)
            if not known:
                self._emit(JobChanged(job, None))
        if jobs:
            self._idle.clear()
            self._wake.set()

    def _emit(self, event: IngestEvent) -> None:
        for listener in tuple(self._listeners):
            listener(event)

    async def _dispatch(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and len(self._running) < self._free_slots():
                job_id = self._waiting.popleft()
                self._running[job_id] = asyncio.create_task(
                    self._work(job_id), name=f"job {job_id}"
                )

    def _free_slots(self) -> int:
        """How many jobs may run now: none without a connection, one at a time with KBV2."""
        if self._service.state is not ConnectionState.CONNECTED:
            return 0
        many = min(self._policy.concurrency, MOST_AT_ONCE)
        return 1 if self._service.mode is Mode.KBV2 else many

    async def _work(self, job_id: str) -> None:
        try:
            job = await self._runner.run(self._jobs[job_id])
            if job.state is JobState.QUEUED:
                self._waiting.appendleft(job_id)
        except ServiceClosed:
            log.info("job %s stays %s", job_id, self._jobs[job_id].state)
        except Exception as error:
            # One job's trouble, a full disk under the journal for instance, stops no other job.
            log.exception("job %s", job_id)
            await self._give_up(self._jobs[job_id], f"kbtui could not go on with it: {error}")
        finally:
            self._running.pop(job_id, None)
            self._note_idle()
            self._wake.set()

    async def _give_up(self, job: Job, why: str) -> None:
        """End a job that we cannot go on with; what was sent has an unknown outcome."""
        state = JobState.UNKNOWN if job.state in SENT else JobState.FAILED
        with suppress(JournalError, IllegalTransition):
            await self.change(job, Outcome(state, error=why))

    def _note_idle(self) -> None:
        if not self._waiting and not self._running:
            self._idle.set()

    def _note_connection(self) -> None:
        if self._service.state is ConnectionState.CONNECTED:
            self._runner.connected.set()
            self._wake.set()
        else:
            self._runner.connected.clear()

    def _on_connection(self, event: ConnectionEvent) -> None:
        match event:
            case StateChanged():
                self._note_connection()
            case MessageReceived(_, Progress() as progress):
                self._on_progress(progress)
            case LateAnswer(_, response):
                job_id = self._runner.expired.pop(str(response.id), None)
                if job_id is not None:
                    task = asyncio.create_task(self._settle(job_id, response), name="late answer")
                    self._settling.add(task)
                    task.add_done_callback(self._settling.discard)
            case _:
                pass

    def _on_progress(self, progress: Progress) -> None:
        owner = attribute(progress, self._runner.outstanding)
        if owner is None:
            self._emit(ProgressUnattributed(progress))
            return
        job_id, attribution = owner
        if self._runner.heard(job_id, progress):
            self._emit(JobProgressed(job_id, progress, attribution))

    def _report(self, job_id: str, progress: Progress) -> None:
        self._emit(JobProgressed(job_id, progress, Attribution.EXACT))

    async def _settle(self, job_id: str, response: Response) -> None:
        """A late answer decides a job whose outcome was unknown."""
        job = self._jobs[job_id]
        if job.state is JobState.UNKNOWN:
            await self.change(job, outcome_of(response))
