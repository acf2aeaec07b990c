"""What the queue tells its subscribers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kbtui.ingest.jobs import Job, JobState
from kbtui.protocol.messages import Progress


class Attribution(StrEnum):
    """How sure it is that a progress report belongs to a job."""

    EXACT = "exact"
    INFERRED = "inferred"


@dataclass(frozen=True, slots=True)
class JobChanged:
    """A job is new (`previous` is None) or has changed its state. Already in the journal."""

    job: Job
    previous: JobState | None


@dataclass(frozen=True, slots=True)
class JobProgressed:
    """A running job has moved on."""

    job_id: str
    progress: Progress
    attribution: Attribution


@dataclass(frozen=True, slots=True)
class ProgressUnattributed:
    """Progress that belongs to none of our jobs, or to nobody knows which: shown, moves no bar."""

    progress: Progress


IngestEvent = JobChanged | JobProgressed | ProgressUnattributed
