"""One ingestion: what it reports, what is kept of that for clients that come back, how it ends."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from kbtui.protocol.messages import Progress
from kbtui.protocol.methods import CANCELLED, IngestParams, IngestResult
from kbtui.protocol.stages import LAST_STAGE
from kbtui.server.errors import IngestError
from kbtui.server.records import StageReport

Listener = Callable[[Progress], None]
Status = Literal["running", "completed", "duplicate", "failed", "cancelled"]

KEPT_COUNTS: Final = 200
"""Counts within a stage that are kept of a running document: of those the newest matter."""

KEPT_STAGES: Final = 100
"""Starts and ends of stages that are kept; a document has about 20."""


class IngestCancelled(IngestError):
    """The ingestion was cancelled; nothing of it is stored."""

    def __init__(self) -> None:
        super().__init__(0, CANCELLED)


class UploadWanted(IngestError):
    """The file is not to be read here, and its client has offered to send it. Nothing was begun."""


class KeyConflict(IngestError):
    """An idempotency key came again with another domain or another content."""

    def __init__(self) -> None:
        super().__init__(
            0,
            "the idempotency key belongs to another content or domain: "
            "give a document that has changed a key of its own",
        )


def is_count(report: Progress) -> bool:
    """Whether a report only counts within a stage: what a slow reader can do without."""
    return report.status == "progress"


class History:
    """The reports of one document, for whoever attaches later. Starts and ends of stages stay;
    of the counts between them only the newest do. `dropped` counts the others."""

    def __init__(self) -> None:
        self._stages: deque[Progress] = deque(maxlen=KEPT_STAGES)
        self._counts: deque[Progress] = deque(maxlen=KEPT_COUNTS)
        self.newest: Progress | None = None
        self.dropped = 0

    def keep(self, report: Progress) -> None:
        """Add the newest report."""
        kept = self._counts if is_count(report) else self._stages
        self.dropped += len(kept) == kept.maxlen
        kept.append(report)
        self.newest = report

    def after(self, sequence: int) -> list[Progress]:
        """The kept reports with a higher number, in order."""
        kept = [r for r in (*self._stages, *self._counts) if (r.sequence or 0) > sequence]
        return sorted(kept, key=lambda report: report.sequence or 0)

    def drop_counts(self) -> None:
        """Keep no more than the stages: of a document that has ended they say enough."""
        self.dropped += len(self._counts)
        self._counts.clear()


@dataclass(slots=True, eq=False)
class Ingestion:
    """One document on its way, or just arrived: who listens, and what has been reported so far.

    `sha256` is None until it is known. `attempt` is the highest that has asked for this run.
    """

    document_id: str
    domain: str | None = None
    sha256: str | None = None
    attempt: int = 1
    key: str | None = None
    status: Status = "running"
    started: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    listeners: set[Listener] = field(default_factory=set)
    history: History = field(default_factory=History)
    sequence: int = 0
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    cancelling: bool = False
    anything_fits: bool = False
    """For a key that was cancelled before its request came: nobody knows its content."""
    outcome: asyncio.Future[IngestResult] = field(init=False, repr=False)
    """Its result, or its IngestError. To be shielded, since others wait for it too."""

    def superseded_by(self, attempt: int) -> bool:
        """Whether an attempt runs the document again: a later one, of what was not stored."""
        return attempt > self.attempt and self.status in ("failed", "cancelled", "duplicate")

    def take(self, params: IngestParams) -> None:
        """A request is to be answered by this run. Raises KeyConflict where its key was given to
        another document."""
        if not self.anything_fits:
            check_fingerprint(params, self.domain, self.sha256)
        self.attempt = max(self.attempt, params.attempt)

    def attach(self, listener: Listener, params: IngestParams) -> None:
        """Replay what the client has not seen, then hand on whatever comes."""
        known = params.document_id == self.document_id
        for report in self.history.after((params.from_sequence or 0) if known else 0):
            listener(report)
        self.listeners.add(listener)

    def publish(self, progress: Progress) -> None:
        """Number a report, keep it, and hand it to everyone who listens."""
        self.sequence += 1
        numbered = msgspec.structs.replace(
            progress, document_id=self.document_id, sequence=self.sequence
        )
        self.history.keep(numbered)
        for listener in tuple(self.listeners):
            listener(numbered)

    def stage(self, report: StageReport) -> None:
        """Publish what the pipeline says of a stage; the first one carries the time, as KBV2's."""
        first = self.sequence == 0
        self.publish(
            Progress(
                stage=report.stage,
                status=report.status,
                message=report.message,
                total_stages=LAST_STAGE,
                timestamp=time.time() if first else None,
                duration=0.0 if first else None,
                current=report.current,
                total=report.total,
            )
        )

    def end(self, error: str | None) -> float:
        """Publish the last report and return the duration in seconds."""
        duration = time.monotonic() - self.started
        message = f"Document ingestion completed successfully in {duration:.2f}s"
        if error is not None:
            message = f"Document ingestion failed after {duration:.2f}s: {error}"
        self.publish(
            Progress(
                stage=LAST_STAGE,
                status="completed" if error is None else "failed",
                message=message,
                error=error,
                timestamp=time.time(),
                duration=duration,
            )
        )
        return duration


def check_fingerprint(params: IngestParams, domain: str | None, sha256: str | None) -> None:
    """Raise KeyConflict unless a request fits the document that its key was given to."""
    other_content = None not in (params.sha256, sha256) and params.sha256 != sha256
    if params.domain != domain or other_content:
        raise KeyConflict
