"""What front ends draw: plain data about the connection and about each document."""

from __future__ import annotations

from dataclasses import dataclass, field

from kbtui.connection import ConnectionState, Mode
from kbtui.ingest.jobs import JobState


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """The connection as it stands. `latency` is in seconds; `retry_at` in epoch seconds."""

    state: ConnectionState = ConnectionState.DISCONNECTED
    mode: Mode | None = None
    url: str | None = None
    epoch: int = 0
    latency: float | None = None
    reason: str | None = None
    attempt: int = 0
    retry_at: float | None = None


@dataclass(slots=True)
class StageSpan:
    """One stage of one document. Times are epoch seconds; `ended` is None while it runs."""

    stage: float
    title: str
    started: float
    ended: float | None = None
    message: str = ""
    current: int | None = None
    total: int | None = None
    failed: bool = False


@dataclass(slots=True)
class DocumentView:
    """One document as the screen shows it. Every text is already plain (see `state.text`).

    Times are epoch seconds, `fraction` 0.0 to 1.0; `spans` hold the stages in the order in which
    the server named them. `stage` is None before the first report.
    """

    job_id: str
    path: str
    name: str
    domain: str | None
    state: JobState
    size: int
    added_at: float
    started_at: float | None = None
    finished_at: float | None = None
    stage: float | None = None
    stage_title: str = ""
    fraction: float = 0.0
    message: str = ""
    inferred: bool = False
    document_id: str | None = None
    error: str | None = None
    reason: str | None = None
    attempt: int = 0
    spans: list[StageSpan] = field(default_factory=list)

    def elapsed(self, now: float) -> float | None:
        """Seconds since the submission, up to the end if there is one; None before it."""
        if self.started_at is None:
            return None
        return max(0.0, (self.finished_at or now) - self.started_at)
