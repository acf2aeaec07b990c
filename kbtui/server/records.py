"""What goes into the knowledge base and what comes out of it, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

StageStatus = Literal["started", "progress", "completed"]


@dataclass(frozen=True, slots=True)
class Source:
    """A file to ingest. `sha256` (hexadecimal) and `size` (bytes) are what the caller saw; a file
    that reads differently later is refused. `origin` is the path that is kept with the document,
    where that is not where the file was read."""

    path: Path
    document_id: str
    name: str
    domain: str | None
    sha256: str
    size: int
    idempotency_key: str | None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class StageReport:
    """How far one ingestion is. `current` of `total` counts what the stage works through."""

    stage: float
    status: StageStatus
    message: str
    current: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document that is in the knowledge base. `duration` is in seconds, `created_at` in seconds
    since the epoch; `pages` is None for formats without pages."""

    document_id: str
    name: str
    domain: str | None
    sha256: str
    size: int
    pages: int | None
    chunks: int
    entities: int
    duration: float
    created_at: float


@dataclass(frozen=True, slots=True)
class ChunkHit:
    """A chunk that answers a query. `similarity` is the cosine of its best window to the query,
    `score` the fused rank by which hits are ordered; page and heading are the best window's."""

    id: str
    document_id: str
    document_name: str
    text: str
    chunk_index: int
    page_number: int | None
    heading: str | None
    similarity: float | None
    score: float


@dataclass(frozen=True, slots=True)
class EntityHit:
    """An entity that answers a query. `similarity` compares its name with the query, 0 to 1."""

    id: str
    name: str
    type: str
    description: str
    properties: dict[str, Any]
    confidence: float
    similarity: float | None


@dataclass(frozen=True, slots=True)
class DedupeReport:
    """What a sweep over all entities did; `pending_review` counts the pairs only proposed."""

    total_processed: int
    merged_entities: int
    pending_review: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the knowledge base holds."""

    documents: int
    chunks: int
    windows: int
    entities: int
    relations: int
