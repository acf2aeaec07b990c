"""The methods of the knowledge base and the shapes of their parameters and results."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeVar

import msgspec

INGEST: Final = "kbv2/ingest_document"
SEARCH_CHUNKS: Final = "kbv2/search_chunks"
SEARCH_ENTITIES: Final = "kbv2/search_entities"
DOCUMENT_STATUS: Final = "kbv2/get_document_status"
TEXT_TO_SQL: Final = "kbv2/query_text_to_sql"
DEDUPLICATE: Final = "kbv2/deduplicate_entities"
CANCEL: Final = "kbtui/cancel"
"""Native servers only, as is whatever else begins with `kbtui/`."""

UPLOAD: Final = "kbtui/upload"

UPLOAD_WANTED: Final = "upload_wanted"
"""The `status` of an ingestion that has not begun: the server needs the file's content first."""

PIECE_BYTES: Final = 64 * 1024
"""How much of a file goes into one `kbtui/upload`: a slow line takes some of them within the
connection's time limit for sending (10 s)."""

CANCELLED: Final = "cancelled"
"""The `status` of an ingestion that was cancelled: nothing of the document is stored."""

T = TypeVar("T")


class IngestParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `kbv2/ingest_document` takes; native servers alone understand what follows `domain`.

    `file_path` is a path on the server. `on_duplicate` "skip" answers a content that is stored
    already with status "duplicate"; without it every call makes a document, as KBV2 does.

    The same `idempotency_key` again attaches to the running ingestion, or replays the outcome of
    one that has ended: a stored document always, a failure or a cancellation for some minutes.
    `attempt` tells an answer that was lost from a wish to try again: a key whose last attempt
    failed or was cancelled is run again by a higher `attempt` only. A key belongs to one domain
    and one `sha256`; with others it is refused.

    Before the answer, the ingestion's reports are replayed: all that are kept, or, where
    `document_id` is the ingestion's own, those after `from_sequence` (reports of another run, on
    a server that has been restarted, say nothing of this one).

    `upload` (with `sha256`) offers to send the file: a server that does not see a file of that
    content under `file_path` ("auto"), or has not been sent one ("always"), answers with status
    "upload_wanted". Once `kbtui/upload` is complete the same request is made again.
    """

    file_path: str
    document_name: str | None = None
    domain: str | None = None
    idempotency_key: str | None = None
    attempt: int = 1
    sha256: str | None = None
    on_duplicate: str | None = None
    document_id: str | None = None
    from_sequence: int | None = None
    upload: Literal["auto", "always"] | None = None


class IngestResult(msgspec.Struct, frozen=True):
    """What a finished ingestion returns. `status` is "completed", or from a native server
    "duplicate" where it holds the same content already (`document_id` and `document_name` are
    then that document's) or "cancelled". `duration` is in seconds."""

    document_id: str
    document_name: str = ""
    status: str = "completed"
    domain: str | None = None
    duration: float | None = None


class CancelParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `kbtui/cancel` takes: one of the two names of an ingestion.

    With a key, `attempt` is cancelled also where its request is still on its way.
    """

    idempotency_key: str | None = None
    document_id: str | None = None
    attempt: int = 1


class CancelResult(msgspec.Struct, frozen=True):
    """What has become of an ingestion that was to be cancelled: "cancelled" (nothing is stored),
    or, where it had ended before, "completed", "duplicate" or "failed"; "not_found" where the
    server knows no such document."""

    status: str
    document_id: str | None = None


class UploadParams(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `kbtui/upload` takes: the piece of a file that begins at `offset`, in base64 on the
    wire. Without `data` it asks where to go on. `size` is the whole file's, in bytes."""

    sha256: str
    size: int
    offset: int = 0
    data: bytes = b""


class UploadResult(msgspec.Struct, frozen=True):
    """How many bytes of a file the server holds, from its beginning. `complete`: all of them,
    and their SHA-256 is the announced one; where it is not, `offset` is 0 again."""

    offset: int
    complete: bool


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
