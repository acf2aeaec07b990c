"""Writes what happens to connection and documents into the log, with fields to search by."""

from __future__ import annotations

import logging

from kbtui.connection import ConnectionEvent, FrameDropped, LateAnswer, LatencyMeasured
from kbtui.ingest.events import IngestEvent, JobChanged, JobProgressed, ProgressUnattributed
from kbtui.ingest.jobs import ENDED, Job, JobState
from kbtui.protocol.messages import Progress

log = logging.getLogger("kbtui.events")

_LEVELS = {JobState.FAILED: logging.WARNING, JobState.UNKNOWN: logging.WARNING}


class EventLog:
    """A listener of the connection and of the queue.

    Every transition of a document is INFO. Progress is DEBUG and sampled: a line when the stage or
    its status is another one, since logging every message costs more than handling it. What the
    connection's state does is logged by the connection itself.
    """

    def __init__(self) -> None:
        self._stages: dict[str, tuple[object, str]] = {}

    def connection(self, event: ConnectionEvent) -> None:
        """Log what the connection reports besides its state."""
        match event:
            case LatencyMeasured(epoch, seconds):
                fields = {"epoch": epoch, "seconds": round(seconds, 4)}
                log.debug("a ping took %.1f ms", seconds * 1000, extra=fields)
            case FrameDropped(epoch, reason, sample, count):
                # The first of each power of two: a server that sends only garbage sends it fast.
                if count & (count - 1) == 0:
                    fields = {"epoch": epoch, "dropped": count}
                    text = "dropped a frame (%s); %d so far; it began: %r"
                    log.warning(text, reason, count, sample, extra=fields)
            case LateAnswer(epoch, response):
                answered = {"epoch": epoch, "request_id": response.id}
                log.info("an answer came after its request had timed out", extra=answered)
            case _:
                pass

    def ingest(self, event: IngestEvent) -> None:
        """Log a document's transition, or the beginning or end of one of its stages."""
        match event:
            case JobChanged(job, previous):
                if job.state in ENDED:
                    self._stages.pop(job.job_id, None)
                _log_transition(job, previous)
            case JobProgressed(job_id, progress, attribution):
                self._progressed(progress, job_id, str(attribution))
            case ProgressUnattributed(progress):
                self._progressed(progress, "", "none")

    def _progressed(self, progress: Progress, job_id: str, attribution: str) -> None:
        stage = (progress.stage, progress.status)
        if self._stages.get(job_id) == stage or not log.isEnabledFor(logging.DEBUG):
            return
        self._stages[job_id] = stage
        fields = {
            "job_id": job_id,
            "stage": progress.stage,
            "status": progress.status,
            "attribution": attribution,
        }
        log.debug("progress: %s", progress.message, extra=fields)


def _log_transition(job: Job, previous: JobState | None) -> None:
    detail = job.error or job.reason
    fields = {
        "job_id": job.job_id,
        "path": job.path,
        "state": str(job.state),
        "previous": None if previous is None else str(previous),
        "attempt": job.attempt,
        "document_id": job.document_id,
        "seconds": job.duration,
        "error": job.error,
        "reason": job.reason,
    }
    log.log(
        _LEVELS.get(job.state, logging.INFO),
        "%s: %s -> %s%s",
        job.name,
        previous or "new",
        job.state,
        f" ({detail})" if detail else "",
        extra={name: value for name, value in fields.items() if value is not None},
    )
