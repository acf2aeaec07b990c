"""Jobs: one document on its way into the knowledge base, its states and their legal order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class JobState(StrEnum):
    """Where a job stands. The words are part of the command line's contract (`--json`)."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    RECONCILING = "reconciling"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    HELD = "held"


_S = JobState

TRANSITIONS: Final[dict[JobState, frozenset[JobState]]] = {
    # Unknown: the same content was sent before, and nobody knows what became of it.
    _S.QUEUED: frozenset({_S.SUBMITTING, _S.SKIPPED, _S.FAILED, _S.CANCELLED, _S.HELD, _S.UNKNOWN}),
    # A request that was never sent goes back to the queue: sending it later is safe.
    _S.SUBMITTING: frozenset(
        {_S.RUNNING, _S.QUEUED, _S.INTERRUPTED, _S.COMPLETED, _S.FAILED, _S.SKIPPED, _S.UNKNOWN}
        | {_S.CANCELLED}
    ),
    _S.RUNNING: frozenset(
        {_S.COMPLETED, _S.FAILED, _S.CANCELLED, _S.SKIPPED, _S.INTERRUPTED, _S.UNKNOWN}
    ),
    _S.INTERRUPTED: frozenset({_S.RECONCILING, _S.UNKNOWN, _S.COMPLETED, _S.FAILED, _S.CANCELLED}),
    _S.RECONCILING: frozenset(
        {_S.RUNNING, _S.COMPLETED, _S.FAILED, _S.UNKNOWN, _S.SKIPPED, _S.INTERRUPTED}
        | {_S.CANCELLED}
    ),
    # A late answer settles an unknown outcome; a person may have it sent again.
    _S.UNKNOWN: frozenset({_S.COMPLETED, _S.FAILED, _S.SKIPPED, _S.CANCELLED, _S.QUEUED}),
    _S.HELD: frozenset({_S.QUEUED, _S.CANCELLED}),
    _S.FAILED: frozenset({_S.QUEUED}),
    _S.CANCELLED: frozenset({_S.QUEUED}),
    _S.SKIPPED: frozenset({_S.QUEUED}),
    _S.COMPLETED: frozenset(),
}
"""Which state may follow which: `faults.md`'s two chains, plus retry by hand."""

ENDED: Final = frozenset(
    {_S.COMPLETED, _S.FAILED, _S.UNKNOWN, _S.SKIPPED, _S.CANCELLED}
)  # fmt: skip
"""Nothing more happens to these by itself."""

SENT: Final = frozenset({_S.SUBMITTING, _S.RUNNING, _S.INTERRUPTED, _S.RECONCILING})
"""The server has been asked, or may have been."""


class IllegalTransition(Exception):
    """A state followed another that it may not follow: a defect of ours, never of the input."""


@dataclass(frozen=True, slots=True)
class Job:
    """One document and one server. Times are epoch seconds, sizes bytes.

    `path` is the absolute local path as `os.fsdecode` gives it (what is not UTF-8 survives as
    surrogates). `key` is the idempotency key that native servers know the job by; it stays the
    same over reconnects and restarts. `error` says why it failed, `reason` why it was skipped or is
    unknown; `timed_out` marks an unknown outcome that came of waiting for too long.
    """

    job_id: str
    path: str
    name: str
    domain: str | None
    server: str
    key: str
    state: JobState
    added_at: float
    size: int = 0
    sha256: str | None = None
    attempt: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    document_id: str | None = None
    error: str | None = None
    reason: str | None = None
    timed_out: bool = False

    @property
    def duration(self) -> float | None:
        """Seconds from the first submission to the end; None while there is no end."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, self.finished_at - self.started_at)


def check_transition(previous: JobState, state: JobState) -> None:
    """Raise IllegalTransition unless `state` may follow `previous`."""
    if state not in TRANSITIONS[previous]:
        raise IllegalTransition(f"{previous} cannot become {state}")
