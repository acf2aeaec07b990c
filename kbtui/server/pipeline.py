"""One document's way into the knowledge base, stage by stage."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kbtui.server.embedding.identity import EMBEDDER_ID
from kbtui.server.entities.resolve import reconnect, resolve
from kbtui.server.errors import IngestError, KnowledgeBaseError
from kbtui.server.parsing.document import UnreadableError
from kbtui.server.parsing.messages import Chunk, Parsed, Progress
from kbtui.server.parsing.reader import check, shown
from kbtui.server.records import StoredDocument
from kbtui.server.reporter import Reporter
from kbtui.server.store.content import CommitGate, Content, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kbtui.server.embedding.pool import EmbeddingPool
    from kbtui.server.entities.resolve import Resolved
    from kbtui.server.parsing.process import ParserProcess
    from kbtui.server.records import Source, StageReport
    from kbtui.server.store.database import Database

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What all ingestions share. Several may run at once: the parser takes the next document
    while others embed."""

    database: Database
    parser: ParserProcess
    pool: EmbeddingPool

    async def ingest(self, source: Source, report: Callable[[StageReport], None]) -> StoredDocument:
        """Runs stages 0 to 9. Nothing is stored before stage 8, and there all or nothing.

        Raises:
            IngestError: the document cannot be ingested.
            asyncio.CancelledError: nothing was stored. A cancellation that comes when the commit
                has begun is too late: it is undone and the stored document is returned.
        """
        reporter = Reporter(report, time.monotonic)
        try:
            return await self._stages(source, reporter)
        except IngestError:
            raise
        except KnowledgeBaseError as error:
            raise IngestError(reporter.stage, str(error)) from error
        except sqlite3.Error as error:
            raise IngestError(
                reporter.stage, f"the knowledge base could not store the document: {error}"
            ) from error
        except Exception as error:
            log.exception("ingestion of %s failed", shown(source.path))
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise IngestError(reporter.stage, f"the ingestion failed: {reason}") from error

    async def _stages(self, source: Source, reporter: Reporter) -> StoredDocument:
        begun = time.monotonic()
        reporter.started(0, f"initialising {shown(source.name)}")
        try:
            size = await asyncio.to_thread(check, source.path)
        except UnreadableError as error:
            raise IngestError(0, str(error)) from None
        loading = asyncio.create_task(self.pool.load(), name="load embedder")
        loading.add_done_callback(_retrieve)
        reporter.completed(f"{size:,} bytes")
        try:
            chunks, parsed = await self._parse(source, reporter)
            resolved = await self._resolve(parsed, reporter)
            reporter.started(5, "embedding windows")
            await loading
        finally:
            loading.cancel()
        vectors = await self._embed(chunks, reporter)

        reporter.started(6, "connecting entities")
        relations = await asyncio.to_thread(reconnect, resolved, parsed.relations)
        reporter.completed(f"relations: {len(relations)}", len(relations), len(relations))
        reporter.started(7, "describing the document")
        metadata = _metadata(parsed, resolved, source)
        reporter.completed(f"{parsed.kind}, words: {parsed.words:,}")

        # The last moment at which a cancellation needs no race to win.
        await asyncio.sleep(0)
        reporter.started(8, "storing")
        document = StoredDocument(
            document_id=source.document_id,
            name=source.name,
            domain=source.domain,
            sha256=source.sha256,
            size=source.size,
            pages=parsed.pages,
            chunks=len(chunks),
            entities=len(resolved.entities),
            duration=round(time.monotonic() - begun, 3),
            created_at=time.time(),
        )
        content = Content(
            document,
            source.idempotency_key,
            EMBEDDER_ID,
            metadata,
            chunks,
            vectors,
            resolved,
            relations,
        )
        await self._store(content)
        reporter.completed(f"chunks: {len(chunks)}, vectors: {len(vectors)}")
        reporter.started(9, "finishing")
        reporter.completed(f"complete in {document.duration:.1f} s")
        return document

    async def _parse(self, source: Source, reporter: Reporter) -> tuple[list[Chunk], Parsed]:
        """Stages 1 to 3, in the parser process."""
        chunks: list[Chunk] = []
        parsed: Parsed | None = None
        async with contextlib.aclosing(self.parser.parse(source.path, source.sha256)) as answers:
            async for answer in answers:
                if isinstance(answer, Progress):
                    reporter.parsed(answer)
                elif isinstance(answer, Chunk):
                    chunks.append(answer)
                elif isinstance(answer, Parsed):
                    parsed = answer
        if parsed is None or not chunks:
            raise IngestError(2, f"no text found in the file: {shown(source.path)}")
        return chunks, parsed

    async def _resolve(self, parsed: Parsed, reporter: Reporter) -> Resolved:
        reporter.started(4, "resolving entities")
        resolved = await self.database.read(resolve, parsed.entities)
        total = len(resolved.entities)
        reporter.completed(
            f"entities: {total}, known already: {resolved.known},"
            f" pairs to review: {len(resolved.proposals)}",
            total,
            total,
        )
        return resolved

    async def _embed(self, chunks: list[Chunk], reporter: Reporter) -> list[bytes]:
        texts = [window.text for chunk in chunks for window in chunk.windows]

        def progress(done: int, total: int) -> None:
            reporter.progress("embedding windows", done, total)

        vectors = await self.pool.embed(texts, progress)
        reporter.completed(f"windows: {len(vectors)}", len(vectors), len(vectors))
        return vectors

    async def _store(self, content: Content) -> None:
        gate = CommitGate()
        writing = asyncio.create_task(
            self.database.write(write, content, gate), name="store document"
        )
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            if gate.claim("cancel"):
                writing.add_done_callback(_retrieve)
                raise
            await _finish(writing)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Takes the exception of a task that nobody may await any more."""
    if not task.cancelled():
        task.exception()


async def _finish(writing: asyncio.Task[bool]) -> None:
    """Waits for a commit that has begun, and takes back the cancellations that came too late."""
    task = asyncio.current_task()
    assert task is not None
    while not writing.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({writing})
    while task.cancelling():
        task.uncancel()
    writing.result()


def _metadata(parsed: Parsed, resolved: Resolved, source: Source) -> dict[str, Any]:
    """What a reader of the database wants to know of a document without its text."""
    most = sorted(resolved.entities, key=lambda entity: -sum(entity.chunks.values()))
    return {
        "title": parsed.title,
        "kind": parsed.kind,
        "path": source.origin or str(source.path),
        "characters": parsed.characters,
        "words": parsed.words,
        "headings": parsed.headings,
        "main_entities": [entity.name for entity in most[:10]],
    }
