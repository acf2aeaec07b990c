"""The ingestions that run in this server, apart from the connections that asked for them."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from kbtui.protocol.messages import Progress
from kbtui.protocol.methods import IngestParams, IngestResult
from kbtui.protocol.stages import LAST_STAGE
from kbtui.server.errors import IngestError
from kbtui.server.files import FileDigest, digest, readable_path
from kbtui.server.knowledge_base import KnowledgeBase
from kbtui.server.records import Source, StageReport, StoredDocument

log = logging.getLogger(__name__)

Listener = Callable[[Progress], None]

KEPT_REPORTS: Final = 200
"""Reports kept of a running document for a client that attaches later: its stages are about 20
reports, the rest are counts within a stage, of which the newest matter."""

CONCURRENT: Final = 3
"""Documents worked on at once: one is parsed while two embed (two embedding threads)."""


@dataclass(slots=True, eq=False)
class Ingestion:
    """One running document: who listens, and what has been reported so far."""

    document_id: str
    started: float = field(default_factory=time.monotonic)
    listeners: set[Listener] = field(default_factory=set)
    reports: deque[Progress] = field(default_factory=lambda: deque(maxlen=KEPT_REPORTS))
    sequence: int = 0
    task: asyncio.Task[IngestResult] | None = None

    def publish(self, progress: Progress) -> None:
        """Number a report, keep it, and hand it to everyone who listens."""
        self.sequence += 1
        numbered = msgspec.structs.replace(
            progress, document_id=self.document_id, sequence=self.sequence
        )
        self.reports.append(numbered)
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
        done = f"Document ingestion completed successfully in {duration:.2f}s"
        self.publish(
            Progress(
                stage=LAST_STAGE,
                status="failed" if error else "completed",
                message=f"Document ingestion failed after {duration:.2f}s: {error}"
                if error
                else done,
                error=error,
                timestamp=time.time(),
                duration=duration,
            )
        )
        return duration


class Ingestions:
    """Runs ingestions to their end whatever happens to the connections.

    A second request with the same idempotency key listens to the first one's run, or gets its
    stored result; one with the same content and `on_duplicate` "skip" waits for the first and is
    answered "duplicate". `on_end` is called whenever an ingestion has ended.
    """

    def __init__(
        self,
        knowledge_base: KnowledgeBase,
        roots: Sequence[Path],
        *,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._kb = knowledge_base
        self._on_end = on_end
        self._roots = tuple(Path(root).resolve() for root in roots)
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._running: dict[str, Ingestion] = {}
        self._by_key: dict[str, Ingestion] = {}
        self._by_content: dict[tuple[str | None, str], Ingestion] = {}

    @property
    def active(self) -> int:
        """How many documents are being worked on or wait for their turn."""
        return len(self._running)

    def running(self, document_id: str) -> Progress | None:
        """The newest report of a document that is running; None where it is not."""
        ingestion = self._running.get(document_id)
        return ingestion.reports[-1] if ingestion and ingestion.reports else None

    async def ingest(self, params: IngestParams, listener: Listener) -> IngestResult:
        """Ingest a document, or join the ingestion that its key names; see the class.

        Cancelling the caller leaves the ingestion running. Raises IngestError with one sentence.
        """
        ingestion = self._by_key.get(params.idempotency_key) if params.idempotency_key else None
        if ingestion is None:
            ingestion = self._begin(params)
        else:
            for report in tuple(ingestion.reports):
                listener(report)
        ingestion.listeners.add(listener)
        assert ingestion.task is not None
        try:
            return await asyncio.shield(ingestion.task)
        finally:
            ingestion.listeners.discard(listener)

    async def aclose(self) -> None:
        """Stop every ingestion; what was not stored by then leaves no trace."""
        tasks = [ingestion.task for ingestion in self._running.values() if ingestion.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, params: IngestParams) -> Ingestion:
        ingestion = Ingestion(document_id=str(uuid.uuid4()))
        self._running[ingestion.document_id] = ingestion
        if params.idempotency_key:
            self._by_key[params.idempotency_key] = ingestion
        ingestion.task = asyncio.create_task(
            self._run(ingestion, params), name=f"ingest {ingestion.document_id}"
        )
        ingestion.task.add_done_callback(_retrieve)
        return ingestion

    async def _run(self, ingestion: Ingestion, params: IngestParams) -> IngestResult:
        claim: tuple[str | None, str] | None = None
        try:
            if params.idempotency_key:
                stored = await self._kb.find_by_key(params.idempotency_key)
                if stored is not None:
                    return _result(stored, "completed")
            path = await asyncio.to_thread(readable_path, params.file_path, self._roots)
            content = await asyncio.to_thread(digest, path)
            if params.sha256 is not None and params.sha256 != content.sha256:
                raise IngestError(0, f"{path} has changed since it was queued")
            claim = (params.domain, content.sha256)
            if params.on_duplicate == "skip":
                duplicate = await self._claim(claim, ingestion)
                if duplicate is not None:
                    return duplicate
            async with self._slots:
                return await self._store(ingestion, params, path, content)
        except IngestError as error:
            ingestion.end(error.message)
            raise
        finally:
            self._running.pop(ingestion.document_id, None)
            if params.idempotency_key:
                self._by_key.pop(params.idempotency_key, None)
            if claim is not None and self._by_content.get(claim) is ingestion:
                del self._by_content[claim]
            self._on_end()

    async def _claim(
        self, claim: tuple[str | None, str], ingestion: Ingestion
    ) -> IngestResult | None:
        """Become the one ingestion of this content, or return the document that holds it."""
        while (other := self._by_content.setdefault(claim, ingestion)) is not ingestion:
            assert other.task is not None
            # If the other one fails, this one is no duplicate and takes its place.
            with suppress(IngestError):
                result = await asyncio.shield(other.task)
                return msgspec.structs.replace(result, status="duplicate")
        stored = await self._kb.find_by_content(*claim)
        return None if stored is None else _result(stored, "duplicate")

    async def _store(
        self, ingestion: Ingestion, params: IngestParams, path: Path, content: FileDigest
    ) -> IngestResult:
        ingestion.started = time.monotonic()
        stored = await self._kb.ingest(
            Source(
                path=path,
                document_id=ingestion.document_id,
                name=params.document_name or path.name,
                domain=params.domain,
                sha256=content.sha256,
                size=content.size,
                idempotency_key=params.idempotency_key,
            ),
            ingestion.stage,
        )
        duration = ingestion.end(None)
        log.info("stored %s (%d chunks) in %.2f s", stored.document_id, stored.chunks, duration)
        return _result(stored, "completed")


def _result(stored: StoredDocument, status: str) -> IngestResult:
    return IngestResult(
        document_id=stored.document_id,
        document_name=stored.name,
        status=status,
        domain=stored.domain,
        duration=stored.duration,
    )


def _retrieve(task: asyncio.Task[IngestResult]) -> None:
    """Look at the outcome, so that asyncio does not complain when every listener has gone."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.info("%s: %s", task.get_name(), error)
