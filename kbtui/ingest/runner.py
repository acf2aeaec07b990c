"""One job's way from the queue to its end: hash, send, wait, and what to do when the line drops."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from kbtui.connection import (
    ConnectionLost,
    ConnectionService,
    InvalidRequest,
    Mode,
    NotConnected,
    RequestTimeout,
    SendFailed,
)
from kbtui.ingest.decide import Outcome, duplicate_of, outcome_of, wants_upload
from kbtui.ingest.hashing import Unreadable, size_and_sha256
from kbtui.ingest.jobs import ENDED, SENT, Job, JobState
from kbtui.ingest.journal import Journal
from kbtui.ingest.policy import QueuePolicy
from kbtui.ingest.seen import SeenReports
from kbtui.ingest.upload import UploadFailed, upload
from kbtui.protocol.messages import Progress, Response
from kbtui.protocol.methods import INGEST, IngestParams, as_params

EXPIRED_KEPT: Final = 1024
"""Requests given up whose late answer still settles their job (as the service keeps them)."""


MOST_RUNS: Final = 20
"""How often a server may begin a document in vain before the document is left alone: it may be
what takes the server down. Mere drops of the connection do not count. `faults.md` names 5; with
that the long run, whose server is killed every 13 s, gives healthy documents up."""

MOST_UPLOADS: Final = 5
"""How often a file is sent, which another client's use of the same content can make necessary."""


class Change(Protocol):
    """Moves a job to an outcome's state; see `IngestQueue.change`."""

    def __call__(self, job: Job, outcome: Outcome, **more: Any) -> Awaitable[Job]:
        """The changed job, once the change is in the journal."""


class Runner:
    """Takes jobs to their end. `connected` is set while there is a connection; `report` is called
    with progress of our own.

    `outstanding` maps the requests that are out (or whose end is being watched for) to their jobs;
    `expired` those given up.
    """

    def __init__(
        self,
        service: ConnectionService,
        journal: Journal,
        policy: QueuePolicy,
        change: Change,
        report: Callable[[str, Progress], None],
        now: Callable[[], float],
    ) -> None:
        self._service = service
        self._journal = journal
        self._policy = policy
        self._change = change
        self._now = now
        self._report = report
        self._seen = SeenReports()
        self._uploads: Counter[str] = Counter()
        self._heard: dict[str, asyncio.Queue[Progress]] = {}
        self.connected = asyncio.Event()
        self.outstanding: dict[str, str] = {}
        self.expired: OrderedDict[str, str] = OrderedDict()

    async def run(self, job: Job) -> Job:
        """Run a job to an ended state, or back to queued where it was not sent at all."""
        try:
            return await self._run(job)
        finally:
            self._seen.forget(job.job_id)
            self._uploads.pop(job.job_id, None)

    async def _run(self, job: Job) -> Job:
        loop = asyncio.get_running_loop()
        if job.state in SENT:
            deadline = loop.time() + self._policy.timeout
            interrupted = "kbtui ended while the document was being ingested"
            job = await self._interrupted(job, interrupted, deadline)
        else:
            prepared = await self._prepare(job)
            if prepared.state in ENDED:
                return prepared
            deadline = loop.time() + self._policy.timeout
            job = await self._change(
                prepared,
                Outcome(JobState.SUBMITTING),
                attempt=prepared.attempt + 1,
                started_at=self._now(),
            )
        while job.state not in ENDED and job.state is not JobState.QUEUED:
            job = await self._send(job, deadline)
        return job

    def heard(self, job_id: str, progress: Progress) -> bool:
        """Progress came for a job: whether it is new, rather than a replay of what was seen.

        It also matters where the end of a lost request is watched for.
        """
        if job_id in self._heard:
            self._heard[job_id].put_nowait(progress)
        return self._seen.is_new(job_id, progress)

    async def _prepare(self, job: Job) -> Job:
        """Look at the file: its size and hash, or why it is not sent."""
        try:
            size, sha256 = await asyncio.to_thread(size_and_sha256, Path(job.path))
        except Unreadable as error:
            return await self._change(job, Outcome(JobState.FAILED, error=str(error)))
        # A key stands for one content: a file that has changed since the last attempt is another.
        key = job.key if job.sha256 in (None, sha256) else uuid.uuid4().hex
        job = replace(job, size=size, sha256=sha256, key=key)
        if size == 0:
            return await self._change(job, Outcome(JobState.FAILED, error="the file is empty"))
        if self._policy.skip_duplicates and self._service.mode is Mode.KBV2:
            same = await self._journal.same_content(job.server, job.domain, sha256)
            outcome = duplicate_of(job, same, resubmit_unknown=self._policy.resubmit_unknown)
            if outcome is not None:
                return await self._change(job, outcome)
        return job

    async def _send(self, job: Job, deadline: float) -> Job:
        """Send a job and wait for its answer; the job comes back ended, queued or reconciling."""
        request_id = str(uuid.uuid4())
        marking: asyncio.Task[Job] | None = None

        def on_sent(_epoch: int) -> None:
            nonlocal marking
            self.outstanding[request_id] = job.job_id
            if job.state is not JobState.RUNNING:  # as it is after an upload
                marking = asyncio.ensure_future(self._change(job, Outcome(JobState.RUNNING)))

        error: Exception | None = None
        response: Response | None = None
        try:
            response = await self._service.request(
                INGEST,
                as_params(self._params(job)),
                request_id=request_id,
                timeout=_until(deadline),
                on_sent=on_sent,
            )
        except (ConnectionLost, InvalidRequest, NotConnected, RequestTimeout, SendFailed) as caught:
            error = caught
        finally:
            self.outstanding.pop(request_id, None)
            if marking is not None:
                job = await marking
        if response is not None and wants_upload(response):
            return await self._upload(job, deadline)
        if response is not None:
            return await self._change(job, outcome_of(response))
        assert error is not None
        return await self._unanswered(job, request_id, error, deadline)

    async def _upload(self, job: Job, deadline: float) -> Job:
        """Send the file; the job comes back running, to be sent again, or reconciling or ended."""
        self._uploads[job.job_id] += 1
        if self._uploads[job.job_id] > MOST_UPLOADS:
            error = "the server asks for the file again and again"
            return await self._change(job, Outcome(JobState.FAILED, error=error))

        def progressed(report: Progress) -> None:
            self._report(job.job_id, report)

        try:
            async with asyncio.timeout_at(deadline):
                await upload(self._service, job, progressed)
        except (UploadFailed, Unreadable, InvalidRequest) as caught:
            return await self._change(job, Outcome(JobState.FAILED, error=str(caught)))
        except (RequestTimeout, TimeoutError):
            error = f"the file could not be sent within {self._policy.timeout:g} s"
            return await self._change(job, Outcome(JobState.FAILED, error=error, timed_out=True))
        except (ConnectionLost, NotConnected, SendFailed) as caught:
            return await self._interrupted(job, str(caught), deadline)
        return job

    async def _unanswered(
        self, job: Job, request_id: str, error: Exception, deadline: float
    ) -> Job:
        """Decide what a request without an answer means for its job."""
        not_sent = isinstance(error, NotConnected) or (
            isinstance(error, RequestTimeout) and not error.sent
        )
        if isinstance(error, InvalidRequest):
            return await self._change(job, Outcome(JobState.FAILED, error=str(error)))
        if not_sent and job.state is JobState.SUBMITTING:
            return await self._change(job, Outcome(JobState.QUEUED), attempt=job.attempt - 1)
        if isinstance(error, RequestTimeout):
            self.expired[request_id] = job.job_id
            while len(self.expired) > EXPIRED_KEPT:
                self.expired.popitem(last=False)
            outcome = Outcome(JobState.UNKNOWN, reason=str(error), timed_out=True)
            return await self._change(job, outcome)
        return await self._interrupted(job, str(error), deadline)

    async def _interrupted(self, job: Job, why: str, deadline: float) -> Job:
        """The answer can no longer come: find out what became of the document, until `deadline`.

        A native server is asked again under the same key, which attaches to the running document
        or replays its result. A KBV2 server cannot be asked: once it is quiet the job is unknown.
        """
        if job.state is not JobState.INTERRUPTED:
            job = await self._change(job, Outcome(JobState.INTERRUPTED, reason=why))
        if self._seen.runs(job.job_id) >= MOST_RUNS:
            return await self._unknown(job, f"the server has begun it {MOST_RUNS} times in vain")
        try:
            async with asyncio.timeout_at(deadline):
                await self.connected.wait()
        except TimeoutError:
            return await self._unknown(job, "the connection did not come back in time")
        job = await self._change(job, Outcome(JobState.RECONCILING, reason=why))
        if self._service.mode is Mode.NATIVE:
            return job
        return await self._unknown(job, await self._watch_for_end(job))

    async def _watch_for_end(self, job: Job) -> str:
        """Wait until the server has reported an end, or nothing for the quiet time."""
        watch = f"watch {job.job_id}"
        heard = self._heard[job.job_id] = asyncio.Queue()
        self.outstanding[watch] = job.job_id
        try:
            while True:
                async with asyncio.timeout(self._policy.quiet):
                    progress = await heard.get()
                if progress.final:
                    return f"its last report was {progress.status!r}: {progress.message}"
        except TimeoutError:
            return f"it has said nothing for {self._policy.quiet:g} s"
        finally:
            del self.outstanding[watch], self._heard[job.job_id]

    async def _unknown(self, job: Job, seen: str) -> Job:
        reason = f"the server's answer was lost with the connection; {seen}"
        first_time = job.attempt < 2
        job = await self._change(job, Outcome(JobState.UNKNOWN, reason=reason))
        if self._policy.resubmit_unknown and first_time:
            job = await self._change(job, Outcome(JobState.QUEUED, reason=reason))
        return job

    def _params(self, job: Job) -> IngestParams:
        """What to send: KBV2 gets what it knows, a native server the rest too."""
        params = IngestParams(
            file_path=self._policy.path_map.remote(job.path),
            document_name=job.name,
            domain=job.domain,
        )
        if self._service.mode is not Mode.NATIVE:
            return params
        document_id, from_sequence = self._seen.position(job.job_id)
        return msgspec.structs.replace(
            params,
            idempotency_key=job.key,
            attempt=job.attempt,
            sha256=job.sha256,
            on_duplicate="skip" if self._policy.skip_duplicates else None,
            document_id=document_id,
            from_sequence=from_sequence,
            upload=self._policy.upload,
        )


def _until(deadline: float) -> float:
    """Seconds from now, in tenths, which read better in a message; at least one of them."""
    left = deadline - asyncio.get_running_loop().time()
    return max(1, math.ceil(round(left * 10, 3))) / 10
