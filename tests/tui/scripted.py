"""A backend that does what a test says, over a real store fed with real events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kbtui.connection import ConnectionState, LatencyMeasured, Mode, StateChanged
from kbtui.ingest.events import Attribution, JobChanged, JobProgressed
from kbtui.ingest.jobs import ENDED, Job, JobState
from kbtui.protocol.messages import Progress
from kbtui.protocol.methods import ChunkHit, ChunkHits, EntityHit, EntityHits
from kbtui.state.store import Store

NOON = 1_790_000_000.0
S = JobState


class Clock:
    """Epoch seconds that move only when a test says so."""

    def __init__(self, at: float = NOON) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


@dataclass
class Report:
    queued: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


class ScriptedBackend:
    """Records what the app asked for; answers as it was told."""

    def __init__(self, clock: Clock | None = None, label: str = "embedded server") -> None:
        self.clock = clock or Clock()
        self.store = Store(self.clock)
        self.server_label = label
        self.jobs: dict[str, Job] = {}
        self.calls: list[tuple[str, object]] = []
        self.report = Report()
        self.hits: ChunkHits | Exception = ChunkHits([], 0, "", 20)
        self.entities: EntityHits | Exception = EntityHits([], 0, "", 20)
        self.refusal: str | None = None
        self.on_start: Exception | None = None
        self.epoch = 0

    @property
    def unfinished(self) -> int:
        return sum(1 for job in self.jobs.values() if job.state not in ENDED)

    async def start(self) -> None:
        self.calls.append(("start", None))
        if self.on_start is not None:
            raise self.on_start

    async def add(
        self, paths: Sequence[Path], *, domain: str | None = None, name: str | None = None
    ) -> Report:
        self.calls.append(("add", ([str(path) for path in paths], domain, name)))
        return self.report

    async def search_chunks(self, query: str, limit: int = 20) -> ChunkHits:
        self.calls.append(("search_chunks", query))
        await asyncio.sleep(0)
        if isinstance(self.hits, Exception):
            raise self.hits
        return self.hits

    async def search_entities(self, query: str, limit: int = 20) -> EntityHits:
        self.calls.append(("search_entities", query))
        if isinstance(self.entities, Exception):
            raise self.entities
        return self.entities

    def reconnect_now(self) -> None:
        self.calls.append(("reconnect_now", None))

    async def cancel(self, job_id: str) -> str | None:
        self.calls.append(("cancel", job_id))
        return self.refusal

    async def retry(self, job_id: str) -> str | None:
        self.calls.append(("retry", job_id))
        return self.refusal

    async def aclose(self) -> None:
        self.calls.append(("aclose", None))

    # What happens

    def connection(
        self,
        state: ConnectionState,
        *,
        reason: str | None = None,
        attempt: int = 0,
        retry_in: float | None = None,
        mode: Mode | None = None,
        url: str | None = "ws://127.0.0.1:8765/ws",
    ) -> None:
        previous = self.store.connection.state
        self.store.apply(
            StateChanged(state, previous, self.epoch, mode, url, reason, attempt, retry_in)
        )

    def connect(self, latency: float | None = 0.012) -> None:
        self.epoch += 1
        self.connection(ConnectionState.CONNECTED, mode=Mode.NATIVE)
        if latency is not None:
            self.store.apply(LatencyMeasured(self.epoch, latency))

    def job(self, job_id: str, name: str, *, size: int = 0, path: str | None = None) -> None:
        job = Job(
            job_id=job_id,
            path=path or f"/data/papers/{name}",
            name=name,
            domain=None,
            server="local",
            key=f"key-{job_id}",
            state=S.QUEUED,
            added_at=self.clock(),
            size=size,
        )
        self.jobs[job_id] = job
        self.store.apply(JobChanged(job, None))

    def to(
        self, job_id: str, *states: JobState, error: str | None = None, reason: str | None = None
    ) -> None:
        """Take a job through these states, now."""
        for state in states:
            before = self.jobs[job_id]
            job = replace(before, state=state, error=error, reason=reason)
            if state is S.SUBMITTING:
                job = replace(job, started_at=self.clock(), attempt=job.attempt + 1)
            if state in ENDED:
                job = replace(job, finished_at=self.clock())
            self.jobs[job_id] = job
            self.store.apply(JobChanged(job, before.state))

    def progress(
        self,
        job_id: str,
        stage: float,
        *,
        current: int | None = None,
        total: int | None = None,
        status: str = "started",
        message: str = "",
        inferred: bool = False,
    ) -> None:
        report = Progress(
            stage=stage,
            status=status,
            message=message,
            current=current,
            total=total,
            request_id=None if inferred else "request",
        )
        how = Attribution.INFERRED if inferred else Attribution.EXACT
        self.store.apply(JobProgressed(job_id, report, how))

    def run_stages(self, job_id: str, seconds: Sequence[float], messages: Sequence[str]) -> None:
        """Submit a job and take it through stages that take these many seconds."""
        self.to(job_id, S.SUBMITTING, S.RUNNING)
        for stage, (took, message) in enumerate(zip(seconds, messages, strict=True)):
            self.progress(job_id, stage, message=message)
            self.clock.at += took
            self.progress(job_id, stage, status="completed", message=message)


NAMES = (
    "Annual Report 2025 (final, signed).pdf",
    "attention-is-all-you-need.pdf",
    "Lieferantenverträge Süd.docx",
    "minutes [draft] 2026-03.md",
    "東京オフィス契約書.pdf",
    "patent-EP3912345A1.pdf",
    "Hand-over notes.txt",
    "survey-of-graph-databases.pdf",
    "site-inspection-2026-02-14-building-7-north-wing.pdf",
    "quarterly-figures-q3.xlsx.md",
)


def busy(backend: ScriptedBackend) -> ScriptedBackend:
    """A night's work, some hours in."""
    clock = backend.clock
    backend.connect()
    for number in range(60):
        name = NAMES[number % len(NAMES)] if number < 10 else f"paper-{number:03}.pdf"
        backend.job(f"j{number:02}", name, size=184_000 + number * 73_411)
    quick = (1.2, 3.4, 0.8, 95.0, 12.0, 20.0, 9.0, 1.0, 2.0)
    texts = ("", "12 pages", "40 chunks", "128 entities", "", "", "", "", "")
    for number in range(20, 34):
        backend.run_stages(f"j{number}", quick, texts)
        backend.to(f"j{number}", S.COMPLETED)
    backend.to("j34", S.SUBMITTING, S.RUNNING)
    backend.progress("j34", 1, message="opening")
    clock.at += 4
    backend.to("j34", S.FAILED, error="The file is encrypted; it needs a password.")
    backend.to("j35", S.SKIPPED, reason="the server holds the same content already")
    backend.to("j36", S.CANCELLED)
    backend.run_stages("j00", (0.4, 8.2, 2.1), ("", "214 pages, 3 tables", "388 chunks"))
    backend.progress("j00", 3, current=0, total=388)
    clock.at += 754
    backend.progress("j00", 3, current=141, total=388, message="chunk 141: Liquidity and capital")
    backend.run_stages("j01", (0.2, 2.2, 0.6, 61.0), ("", "15 pages", "40 chunks", "212 entities"))
    backend.progress("j01", 4, message="resolving 212 entities")
    clock.at += 21
    backend.to("j02", S.SUBMITTING, S.RUNNING)
    backend.progress("j02", 1, message="reading")
    clock.at += 3
    backend.to("j03", S.SUBMITTING)
    return backend


def done(backend: ScriptedBackend) -> ScriptedBackend:
    """Everything has ended."""
    backend.connect(0.0084)
    for number, name in enumerate(NAMES):
        backend.job(f"j{number}", name, size=92_000 * (number + 1))
    times = (0.1, 2.0, 0.4, 31.0, 4.0, 6.0, 3.0, 0.2, 0.7)
    texts = ("", "9 pages", "22 chunks", "71 entities", "", "", "", "", "")
    for number in range(len(NAMES)):
        backend.run_stages(f"j{number}", times, texts)
        backend.to(f"j{number}", S.COMPLETED)
    backend.clock.at += 60
    return backend


def reconnecting(backend: ScriptedBackend) -> ScriptedBackend:
    """The Wi-Fi is gone."""
    busy(backend)
    for job_id in ("j00", "j01", "j02"):
        backend.to(job_id, S.INTERRUPTED, reason="the connection was lost")
    backend.connection(
        ConnectionState.RECONNECTING,
        reason="no answer to a ping for 90 s",
        attempt=4,
        retry_in=13.4,
    )
    return backend


def failed(backend: ScriptedBackend) -> ScriptedBackend:
    """A server that will not have us, and documents that failed."""
    backend.job("j0", NAMES[0], size=1_200_000)
    backend.connect()
    backend.to("j0", S.SUBMITTING, S.RUNNING)
    backend.progress("j0", 1, message="reading")
    backend.clock.at += 2.5
    backend.to(
        "j0",
        S.FAILED,
        error="The server could not read the file: page 14 has a damaged cross-reference table. "
        "Repair the PDF (for example by printing it to a new one) and retry.",
    )
    backend.job("j1", NAMES[1], size=900_000)
    backend.to("j1", S.SUBMITTING, S.UNKNOWN, reason="the connection was lost after it was sent")
    backend.connection(
        ConnectionState.FAILED, reason="the server refused the token (HTTP 401)", attempt=1
    )
    return backend


def found(backend: ScriptedBackend) -> ScriptedBackend:
    """A search with answers."""
    done(backend)
    text = (
        "Operating cash flow rose to 412 million euros, mainly because receivables fell. The "
        "liquidity reserve, that is cash and undrawn credit lines, stood at 1.3 billion euros at "
        "the end of the year and covers the maturities of the next eighteen months."
    )
    rest = (
        "The covenant [section 7.2] obliges the company to keep its liquidity above 400 million "
        "euros at every quarter's end."
    )
    chunks = [
        ChunkHit("c1", "d1", NAMES[0], text, 141, 87, 0.83, "4.2 Liquidity and capital resources"),
        ChunkHit("c2", "d1", NAMES[0], rest, 142, 88, 0.74, "4.3 Covenants"),
        ChunkHit("c3", "d2", NAMES[3], "Liquidity was discussed; no decision.", 3, None, 0.52),
    ]
    people = [
        EntityHit("e1", "Liquidity reserve", "Concept", "Cash and undrawn credit lines."),
        EntityHit("e2", "European Central Bank", "Organization", "Sets the reference rate."),
    ]
    backend.hits = ChunkHits(chunks, 3, "liquidity reserve", 20)
    backend.entities = EntityHits(people, 2, "liquidity reserve", 20)
    return backend
