"""The state store: events go in, views come out; the one place where they meet."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from kbtui.connection import (
    ConnectionEvent,
    ConnectionState,
    FrameDropped,
    LateAnswer,
    LatencyMeasured,
    MessageReceived,
    ServerQuiet,
    StateChanged,
)
from kbtui.ingest.events import (
    Attribution,
    IngestEvent,
    JobChanged,
    JobProgressed,
    ProgressUnattributed,
)
from kbtui.ingest.jobs import ENDED, SENT, Job, JobState
from kbtui.protocol.messages import ExtractionLog, Progress
from kbtui.protocol.stages import fraction_done, stage_title
from kbtui.state.log import LogBuffer
from kbtui.state.text import plain
from kbtui.state.views import ConnectionView, DocumentView, StageSpan

Event = ConnectionEvent | IngestEvent


@dataclass(slots=True)
class Changes:
    """What has changed since the last look: which documents, and whether anything else."""

    documents: set[str] = field(default_factory=set)
    added: bool = False
    connection: bool = False
    log: bool = False

    def __bool__(self) -> bool:
        return bool(self.documents or self.added or self.connection or self.log)


class Store:
    """Everything a front end shows, kept up to date by `apply`.

    Not thread-safe: it lives in the event loop. A front end draws on a timer of its own and asks
    `take_changes` what to draw again, so that a flood of events costs one redraw.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._changes = Changes()
        self._woken = False
        self.wake: Callable[[], None] | None = None
        """Called at the first change after each `take_changes`, so that nobody has to poll."""
        self.connection = ConnectionView()
        self.documents: dict[str, DocumentView] = {}
        self.totals: Counter[JobState] = Counter()
        self.log = LogBuffer()

    def take_changes(self) -> Changes:
        """What has changed since the last call."""
        changes, self._changes = self._changes, Changes()
        self._woken = False
        return changes

    def _wake(self) -> None:
        if self.wake is not None and not self._woken and self._changes:
            self._woken = True
            self.wake()

    def note(self, level: str, text: str, source: str | None = None) -> None:
        """Write a line into the log; the text is made plain here."""
        self.log.append(self._now(), level, source, plain(text))
        self._changes.log = True
        self._wake()

    def apply(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case JobProgressed(job_id, progress, attribution):
                self._progressed(job_id, progress, attribution)
            case JobChanged(job, previous):
                self._job_changed(job, previous)
            case LatencyMeasured(epoch, seconds):
                if epoch == self.connection.epoch:
                    self.connection = replace(self.connection, latency=seconds)
                    self._changes.connection = True
            case StateChanged():
                self._connection_changed(event)
            case ProgressUnattributed(progress):
                self.note("debug", f"progress of another document: {progress.message}")
            case MessageReceived(_, ExtractionLog() as entry):
                self.note(
                    "debug", _extraction_text(entry), plain(entry.document_name or "") or None
                )
            case FrameDropped(_, reason, _, count):
                self.note("warning", f"unreadable frame dropped ({reason}); {count} so far")
            case ServerQuiet(_, seconds):
                text = f"no word from the server for {seconds:.0f} s; it still answers pings"
                self.note("warning", text)
            case LateAnswer():
                self.note("info", "an answer came after its request had been given up")
            case MessageReceived():
                pass  # the queue says whose progress it is
        self._wake()

    def _connection_changed(self, event: StateChanged) -> None:
        retry_at = None if event.retry_in is None else self._now() + event.retry_in
        up = event.state in (ConnectionState.CONNECTED, ConnectionState.DRAINING)
        same_socket = up and event.epoch == self.connection.epoch
        self.connection = ConnectionView(
            state=event.state,
            mode=event.mode,
            url=event.url,
            epoch=event.epoch,
            latency=self.connection.latency if same_socket else None,
            reason=None if event.reason is None else plain(event.reason),
            attempt=event.attempt,
            retry_at=retry_at,
        )
        self._changes.connection = True
        level = "info"
        if event.state is ConnectionState.FAILED:
            level = "error"
        elif event.state is ConnectionState.RECONNECTING:
            level = "warning"
        text = f"connection {event.state}"
        if event.state is ConnectionState.CONNECTED and event.url:
            text += f" to {event.url}"
        if event.reason:
            text += f": {event.reason}"
        if event.retry_in is not None:
            text += f"; next try in {event.retry_in:.1f} s"
        self.note(level, text)

    def _job_changed(self, job: Job, previous: JobState | None) -> None:
        view = self.documents.get(job.job_id)
        if view is None:
            view = self.documents[job.job_id] = DocumentView(
                job_id=job.job_id,
                path=plain(job.path),
                name=plain(job.name),
                domain=None if job.domain is None else plain(job.domain),
                state=job.state,
                size=job.size,
                added_at=job.added_at,
            )
            self._changes.added = True
        else:
            self.totals[view.state] -= 1
        self.totals[job.state] += 1
        changed = view.state is not job.state or previous is None
        view.state, view.size, view.attempt = job.state, job.size, job.attempt
        view.started_at, view.finished_at = job.started_at, job.finished_at
        view.document_id = job.document_id
        view.error = None if job.error is None else plain(job.error)
        view.reason = None if job.reason is None else plain(job.reason)
        if job.state is JobState.COMPLETED:
            view.fraction = 1.0
        elif job.state is JobState.QUEUED:
            view.fraction, view.stage, view.stage_title, view.message = 0.0, None, "", ""
            view.spans = []
        if job.state in ENDED:
            self._close_spans(view, failed=job.state is JobState.FAILED)
        self._changes.documents.add(job.job_id)
        if changed:
            self._note_job(view)

    def _note_job(self, view: DocumentView) -> None:
        level = {
            JobState.FAILED: "error",
            JobState.UNKNOWN: "warning",
            JobState.INTERRUPTED: "warning",
        }.get(view.state, "debug" if view.state is JobState.QUEUED else "info")
        detail = view.error or view.reason
        elapsed = view.elapsed(self._now())
        text = str(view.state)
        if view.state is JobState.COMPLETED and elapsed is not None:
            text += f" in {elapsed:.1f} s"
        self.note(level, f"{text}: {detail}" if detail else text, view.name)

    def _progressed(self, job_id: str, progress: Progress, attribution: Attribution) -> None:
        view = self.documents.get(job_id)
        if view is None or view.state not in SENT:
            # After the end there is nothing to move: the answer has decided.
            self.note("debug", f"late progress: {progress.message}", view.name if view else None)
            return
        view.inferred = attribution is Attribution.INFERRED
        message = plain(progress.message)
        view.message = message or view.message
        if progress.stage is not None:
            self._move(view, progress.stage, progress, message)
        self._changes.documents.add(job_id)
        if progress.current is None:
            level = "error" if progress.status == "failed" else "debug"
            self.note(level, message or f"{view.stage_title} {progress.status}", view.name)

    def _move(self, view: DocumentView, stage: float, progress: Progress, message: str) -> None:
        now = self._now()
        span = next((s for s in reversed(view.spans) if s.stage == stage), None)
        if span is None:
            # A stage that begins ends the one before it where the server did not say so.
            for open_span in view.spans:
                if open_span.ended is None and open_span.stage < stage:
                    open_span.ended = now
            title = _title(stage, progress, message)
            span = StageSpan(stage=stage, title=title, started=now)
            view.spans.append(span)
            view.spans.sort(key=lambda item: item.stage)
        span.message = message or span.message
        if progress.current is not None:
            span.current, span.total = progress.current, progress.total
        if progress.status in ("completed", "failed") and span.ended is None:
            span.ended = now
            span.failed = progress.status == "failed"
        if view.stage is None or stage >= view.stage:
            view.stage, view.stage_title = stage, span.title
        fraction = fraction_done(
            stage, progress.status, progress.current, progress.total, progress.total_stages
        )
        # A bar never goes back, and is full only when the answer says so.
        view.fraction = max(view.fraction, min(fraction, 0.99))

    def _close_spans(self, view: DocumentView, *, failed: bool) -> None:
        for span in view.spans:
            if span.ended is None:
                span.ended = view.finished_at or self._now()
                span.failed = failed


def _title(stage: float, progress: Progress, message: str) -> str:
    """What to call a stage: KBV2's versions mean different things by one number.

    So where a server that is not native names or announces the stage itself, that is shown.
    """
    if progress.label:
        return plain(progress.label.replace("_", " "))
    if progress.request_id is None and progress.status == "started" and message:
        return message
    return stage_title(stage)


def _extraction_text(entry: ExtractionLog) -> str:
    detail = entry.data.get("message") or ""
    current, total = entry.data.get("current_step"), entry.data.get("total_steps")
    count = f" {current}/{total}" if current is not None and total is not None else ""
    return f"{entry.event_type}{count} {detail}".strip()
