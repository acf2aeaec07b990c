"""The embedded knowledge base: documents in, answers out."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, TypeVar

from kbtui.server.errors import IngestError, KnowledgeBaseError
from kbtui.server.parsing.process import ParserProcess
from kbtui.server.pipeline import Pipeline
from kbtui.server.records import (
    ChunkHit,
    Counts,
    DedupeReport,
    EntityHit,
    Source,
    StageReport,
    StoredDocument,
)
from kbtui.server.store import dedupe, lookup, schema
from kbtui.server.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from kbtui.server.store.vectors import VectorMatrix

__all__ = [
    "ChunkHit",
    "Counts",
    "DedupeReport",
    "EntityHit",
    "IngestError",
    "KnowledgeBase",
    "KnowledgeBaseError",
    "Source",
    "StageReport",
    "StoredDocument",
]

T = TypeVar("T")


class KnowledgeBase:
    """A directory with one SQLite database, an embedding model and a parser process.

    All methods are for one event loop; none of them blocks it. Opening is cheap: the model, the
    vectors and the parser process come with their first use. `instance_id` is kept in the
    database and so identifies this knowledge base for ever.
    """

    def __init__(self, database: Database, pipeline: Pipeline, instance_id: str) -> None:
        self.instance_id = instance_id
        self._database = database
        self._pipeline = pipeline
        self._matrix: VectorMatrix | None = None

    @classmethod
    async def open(cls, data_dir: Path, *, parse_timeout: float = 120.0) -> KnowledgeBase:
        """Opens the knowledge base in `data_dir`, made if it is not there.

        `parse_timeout` is how many seconds the parser may go without reporting a page, a chunk
        or a result before its document fails.

        Raises:
            KnowledgeBaseError: it cannot be opened, is damaged, newer, or of another embedder.
        """
        from kbtui.server.embedding.pool import EmbeddingPool

        path = await asyncio.to_thread(schema.prepare, data_dir)
        database = await asyncio.to_thread(Database, path)
        instance_id = await database.read(schema.meta, "instance_id")
        pipeline = Pipeline(database, ParserProcess(parse_timeout), EmbeddingPool())
        return cls(database, pipeline, instance_id)

    async def ingest(self, source: Source, report: Callable[[StageReport], None]) -> StoredDocument:
        """Takes a document in; `report` is called on the event loop, in the order of the stages.

        Raises:
            IngestError: the document cannot be ingested; nothing of it is stored.
            asyncio.CancelledError: cancelled; nothing is stored. A cancellation that comes after
                the commit has begun is too late: the stored document is returned instead.
        """
        return await self._pipeline.ingest(source, report)

    async def find_by_key(self, idempotency_key: str) -> StoredDocument | None:
        """The document that was ingested under this idempotency key."""
        return await _asked(self._database.read(lookup.by_key, idempotency_key))

    async def find_by_content(self, domain: str | None, sha256: str) -> StoredDocument | None:
        """A document of this domain (None is a domain of its own) with this content."""
        return await _asked(self._database.read(lookup.by_content, domain, sha256))

    async def document(self, document_id: str) -> StoredDocument | None:
        """The document with this id."""
        return await _asked(self._database.read(lookup.by_id, document_id))

    async def search_chunks(
        self, query: str, limit: int, domain: str | None = None
    ) -> list[ChunkHit]:
        """The chunks that answer a query, best first: by meaning and by words, fused. Without a
        domain, all domains."""
        return await _asked(self._database.read(self._search_chunks, query, limit, domain))

    def _search_chunks(
        self, connection: sqlite3.Connection, query: str, limit: int, domain: str | None
    ) -> list[ChunkHit]:
        # On the reader thread, which alone touches the matrix; numpy is imported here first.
        from kbtui.server.store.search import search_chunks
        from kbtui.server.store.vectors import VectorMatrix

        if self._matrix is None:
            self._matrix = VectorMatrix()
        return search_chunks(connection, self._matrix, query, limit, domain)

    async def search_entities(self, query: str, limit: int) -> list[EntityHit]:
        """The entities whose name, acronym or description answers a query, best first."""
        from kbtui.server.store.search import search_entities

        return await _asked(self._database.read(search_entities, query, limit))

    async def deduplicate_entities(self) -> DedupeReport:
        """Merges acronyms with the names they stand for; pairs of names that only look alike are
        counted as pending review, never merged."""
        proposals = await _asked(self._database.read(dedupe.alike))
        return await _asked(self._database.write(dedupe.apply, proposals))

    async def counts(self) -> Counts:
        """How much the knowledge base holds."""
        return await _asked(self._database.read(lookup.counts))

    async def aclose(self) -> None:
        """Ends the parser process and the threads and closes the database; ingestions are to be
        cancelled before."""
        await self._pipeline.parser.aclose()
        await self._pipeline.pool.aclose()
        await self._database.aclose()


async def _asked(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except sqlite3.Error as error:
        raise KnowledgeBaseError(f"the knowledge base cannot be read: {error}") from error
