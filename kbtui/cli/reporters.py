"""How `kbtui ingest` tells what happens: JSON lines for programs, plain lines for logs."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

from kbtui.cli.redaction import redact, shown
from kbtui.connection import ConnectionState, StateChanged
from kbtui.ingest.jobs import ENDED, Job, JobState
from kbtui.state.text import plain
from kbtui.state.views import DocumentView

STAGE_LINE_SECONDS: Final = 5.0
"""How often, at most, a plain line tells the stage of one document."""

SUMMARY_STATES: Final = (
    JobState.COMPLETED,
    JobState.FAILED,
    JobState.UNKNOWN,
    JobState.SKIPPED,
    JobState.CANCELLED,
)


class Reporter(Protocol):
    """What a run tells. `interactive`: whether a person can be asked something."""

    interactive: bool

    def connection(self, event: StateChanged) -> None:
        """The connection has changed."""

    def job(self, job: Job, view: DocumentView, *, changed: bool) -> None:
        """A document has changed its state (`changed`) or has moved on."""

    def refused(self, path: Path, state: JobState, reason: str) -> None:
        """A path is not ingested."""

    def note(self, text: str) -> None:
        """A sentence for the person."""

    async def confirm(self, question: str) -> bool:
        """Ask a person; False where there is none."""

    def summary(self, states: Counter[JobState], seconds: float) -> None:
        """The end of the run."""

    def close(self) -> None:
        """Nothing more is told."""


class JsonReporter:
    """One JSON object a line, as the command line's contract has it."""

    interactive = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def connection(self, event: StateChanged) -> None:
        """`{"event":"connection",...}`."""
        self._print(
            event="connection",
            state=event.state,
            server=event.url,
            mode=event.mode,
            reason=_redacted(event.reason),
            retry_in=event.retry_in,
        )

    def job(self, job: Job, view: DocumentView, *, changed: bool) -> None:  # noqa: ARG002
        """`{"event":"job",...}`."""
        self._print_job(
            job_id=job.job_id,
            path=job.path,
            name=job.name,
            state=job.state,
            stage=view.stage,
            fraction=round(view.fraction, 4),
            document_id=job.document_id,
            error=_redacted(job.error),
            reason=_redacted(job.reason),
            duration=None if job.duration is None else round(job.duration, 3),
        )

    def refused(self, path: Path, state: JobState, reason: str) -> None:
        """A job line without an id: the path never became a job."""
        failed = state is JobState.FAILED
        self._print_job(
            job_id=None,
            path=str(path),
            name=path.name,
            state=state,
            stage=None,
            fraction=0.0,
            document_id=None,
            error=reason if failed else None,
            reason=None if failed else reason,
            duration=None,
        )

    def note(self, text: str) -> None:
        """Nothing: the stream holds what programs rely on and nothing else."""

    async def confirm(self, question: str) -> bool:  # noqa: ARG002
        """No person reads JSON lines."""
        return False

    def summary(self, states: Counter[JobState], seconds: float) -> None:
        """`{"event":"summary",...}`, always the last line."""
        counts = {str(state): states[state] for state in SUMMARY_STATES}
        self._print(event="summary", **counts, duration=round(seconds, 3))

    def close(self) -> None:
        """Each line is flushed when it is printed."""

    def _print_job(self, **fields: Any) -> None:
        self._print(event="job", **fields)

    def _print(self, **fields: Any) -> None:
        # ASCII only: file names that are not UTF-8 (surrogates) survive as \udcXX.
        print(json.dumps(fields), file=self._stream, flush=True)


class TextReporter:
    """Plain lines, one for each thing that matters: for logs, pipes and screen readers."""

    interactive = False

    def __init__(self, out: TextIO, err: TextIO, *, quiet: bool) -> None:
        self._out = out
        self._err = err
        self._quiet = quiet
        self._told: dict[str, float] = {}

    def connection(self, event: StateChanged) -> None:
        """Told on stderr where it is worth a line."""
        line = connection_line(event)
        if line and (not self._quiet or event.state is ConnectionState.FAILED):
            print(line, file=self._err, flush=True)

    def job(self, job: Job, view: DocumentView, *, changed: bool) -> None:
        """A line at the end of a document, and now and then while it runs."""
        if job.state in ENDED and changed:
            self._told.pop(job.job_id, None)
            if job.state in (JobState.FAILED, JobState.UNKNOWN):
                print(job_line(job), file=self._err, flush=True)
            elif not self._quiet:
                print(job_line(job), file=self._out, flush=True)
        elif job.state is JobState.INTERRUPTED and changed and not self._quiet:
            print(job_line(job), file=self._err, flush=True)
        elif job.state is JobState.RUNNING and not self._quiet:
            self._tell_stage(job, view)

    def refused(self, path: Path, state: JobState, reason: str) -> None:
        """A line with the reason."""
        if state is JobState.FAILED:
            print(refusal_line(path, state, reason), file=self._err, flush=True)
        elif not self._quiet:
            print(refusal_line(path, state, reason), file=self._out, flush=True)

    def note(self, text: str) -> None:
        """A sentence on stderr."""
        print(text, file=self._err, flush=True)

    async def confirm(self, question: str) -> bool:  # noqa: ARG002
        """Nobody is asked."""
        return False

    def summary(self, states: Counter[JobState], seconds: float) -> None:
        """The counts on one line."""
        if not self._quiet:
            print(summary_line(states, seconds), file=self._out, flush=True)

    def close(self) -> None:
        """Each line is flushed when it is printed."""

    def _tell_stage(self, job: Job, view: DocumentView) -> None:
        now = time.monotonic()
        last = self._told.setdefault(job.job_id, now)
        if now - last >= STAGE_LINE_SECONDS and view.stage_title:
            self._told[job.job_id] = now
            text = f"running    {plain(job.name)}: {stage_text(view)}"
            print(text, file=self._out, flush=True)


def _redacted(text: str | None) -> str | None:
    return None if text is None else redact(text)


def stage_text(view: DocumentView) -> str:
    """The stage of a running document, with the count within it where there is one."""
    span = next((span for span in view.spans if span.stage == view.stage), None)
    count = f" {span.current}/{span.total}" if span and span.current is not None else ""
    return f"{view.stage_title}{count}"


def job_line(job: Job) -> str:
    """One line about a job's state."""
    detail = job.error or job.reason
    took = f" ({job.duration:.1f} s)" if job.state is JobState.COMPLETED and job.duration else ""
    return f"{job.state:<10} {plain(job.name)}{took}" + (f": {shown(detail)}" if detail else "")


def refusal_line(path: Path, state: JobState, reason: str) -> str:
    """One line about a path that never became a job."""
    return f"{state:<10} {plain(str(path))}: {plain(reason)}"


def summary_line(states: Counter[JobState], seconds: float) -> str:
    """All counts that are not zero, completed always."""
    counts = [
        f"{states[state]} {state}"
        for state in SUMMARY_STATES
        if states[state] or state is JobState.COMPLETED
    ]
    return f"{', '.join(counts)} in {seconds:.1f} s"


def connection_line(event: StateChanged) -> str | None:
    """A line about the connection, None where it says nothing new to a person."""
    if event.state is ConnectionState.CONNECTED:
        return f"connected to {event.url} ({event.mode})"
    if event.state is ConnectionState.FAILED:
        return f"connection failed: {shown(event.reason or 'no reason known')}"
    if event.retry_in is not None:
        why = f": {shown(event.reason)}" if event.reason else ""
        return f"not connected{why}; next try in {event.retry_in:.1f} s"
    return None
