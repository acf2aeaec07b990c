"""The methods of the knowledge base and the shapes of their parameters and results."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

INGEST: Final = "kbv2/ingest_document"
SEARCH_CHUNKS: Final = "kbv2/search_chunks"
SEARCH_ENTITIES: Final = "kbv2/search_entities"
DOCUMENT_STATUS: Final = "kbv2/get_document_status"
TEXT_TO_SQL: Final = "kbv2/query_text_to_sql"
DEDUPLICATE: Final = "kbv2/deduplicate_entities"

T = TypeVar("T")


class IngestParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `kbv2/ingest_document` takes; the last four are understood by native servers only.

    `file_path` is a path on the server. The same `idempotency_key` again attaches to the running
    ingestion or replays its result. `on_duplicate` "skip" answers a content that is stored
    already with status "duplicate"; without it every call makes a document, as KBV2 does.
    """

    file_path: str
    document_name: str | None = None
    domain: str | None = None
    idempotency_key: str | None = None
    sha256: str | None = None
    on_duplicate: str | None = None


class IngestResult(msgspec.Struct, frozen=True):
    """What a finished ingestion returns. `status` is "completed", or "duplicate" where a native
    server holds the same content already (`document_id` and `document_name` are then that
    document's). `duration` is in seconds."""

    document_id: str
    document_name: str = ""
    status: str = "completed"
    domain: str | None = None
    duration: float | None = None


class SearchParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """What both searches take; `limit` is the most hits wanted."""

    query: str
    limit: int = 10
    domain: str | None = None


class ChunkHit(msgspec.Struct, frozen=True):
    """One found passage. `similarity` is a cosine, None where the server has no vector for it."""

    id: str
    document_id: str
    document_name: str
    text: str
    chunk_index: int = 0
    page_number: int | None = None
    similarity: float | None = None
    heading: str | None = None


class ChunkHits(msgspec.Struct, frozen=True):
    """The result of `kbv2/search_chunks`."""

    chunks: list[ChunkHit]
    total_count: int
    query: str
    limit: int
    domain: str | None = None


class EntityHit(msgspec.Struct, frozen=True):
    """One found entity. `properties` is a JSON text inside the JSON, as KBV2 sends it."""

    id: str
    name: str
    type: str
    description: str = ""
    properties: str = "{}"
    confidence: float = 0.0
    similarity: float | None = None


class EntityHits(msgspec.Struct, frozen=True):
    """The result of `kbv2/search_entities`."""

    entities: list[EntityHit]
    total_count: int
    query: str
    limit: int
    domain: str | None = None


class Health(msgspec.Struct, frozen=True):
    """The answer of `GET /health`; `instance` names a native server's knowledge base."""

    status: str
    version: str = ""
    name: str = ""
    instance: str | None = None


class InvalidShape(ValueError):
    """Parameters or a result that are not what the method calls for; the text says where."""


def shaped(kind: type[T], value: Any) -> T:
    """Check `value` (decoded JSON) against the struct `kind`; raises InvalidShape."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidShape(str(error)) from None


def as_params(params: msgspec.Struct) -> dict[str, Any]:
    """A struct as a request's params: what is unset is left out, as KBV2 wants."""
    built = msgspec.to_builtins(params)
    return {key: value for key, value in built.items() if value is not None}
