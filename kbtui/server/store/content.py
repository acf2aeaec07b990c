"""A document ready to be stored, and writing it in one transaction."""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbtui.server.entities.resolve import Resolved
    from kbtui.server.parsing.messages import Chunk, Relation
    from kbtui.server.records import StoredDocument


@dataclass(frozen=True, slots=True)
class Content:
    """Everything of one document. `vectors` holds one blob a window, in the order of the
    chunks' windows."""

    document: StoredDocument
    idempotency_key: str | None
    embedder: str
    metadata: dict[str, Any]
    chunks: Sequence[Chunk]
    vectors: Sequence[bytes]
    resolved: Resolved
    relations: Sequence[Relation]


class CommitGate:
    """Settles the race between a commit and a cancellation: exactly one of them wins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._winner: str | None = None

    def claim(self, who: str) -> bool:
        """Whether `who` has won, now or earlier."""
        with self._lock:
            if self._winner is None:
                self._winner = who
            return self._winner == who


def write(connection: sqlite3.Connection, content: Content, gate: CommitGate) -> bool:
    """Stores a document as a whole; False when it was cancelled first and nothing was stored.

    Raises:
        sqlite3.Error: nothing was stored either.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        _document(connection, content)
        chunk_numbers = _chunks(connection, content)
        _graph(connection, content, chunk_numbers)
        if not gate.claim("commit"):
            connection.execute("ROLLBACK")
            return False
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return True


def _document(connection: sqlite3.Connection, content: Content) -> None:
    document = content.document
    connection.execute(
        "INSERT INTO documents (id, name, domain, sha256, size, pages, chunks, entities,"
        " duration, created_at, idempotency_key, embedder, metadata)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            document.document_id,
            document.name,
            document.domain,
            document.sha256,
            document.size,
            document.pages,
            document.chunks,
            document.entities,
            document.duration,
            document.created_at,
            content.idempotency_key,
            content.embedder,
            json.dumps(content.metadata),
        ),
    )


def _chunks(connection: sqlite3.Connection, content: Content) -> list[int]:
    numbers = []
    vectors = iter(content.vectors)
    for index, chunk in enumerate(content.chunks):
        cursor = connection.execute(
            "INSERT INTO chunks (document_id, chunk_index, text) VALUES (?, ?, ?)",
            (content.document.document_id, index, chunk.text),
        )
        number = cursor.lastrowid
        assert number is not None
        numbers.append(number)
        connection.executemany(
            "INSERT INTO windows (chunk, text, heading, page, vector) VALUES (?, ?, ?, ?, ?)",
            [
                (number, window.text, window.heading, window.page, next(vectors))
                for window in chunk.windows
            ],
        )
    return numbers


def _graph(connection: sqlite3.Connection, content: Content, chunk_numbers: list[int]) -> None:
    resolved = content.resolved
    rows = {}
    for entity in resolved.entities:
        # Another document may have stored the same key since this one was resolved.
        connection.execute(
            "INSERT INTO entities (id, key, name, type, description, confidence)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " confidence = max(confidence, excluded.confidence)",
            (
                str(uuid.uuid4()),
                entity.key,
                entity.name,
                entity.type,
                entity.description,
                entity.confidence,
            ),
        )
        (row,) = connection.execute(
            "SELECT n FROM entities WHERE key = ?", (entity.key,)
        ).fetchone()
        rows[entity.key] = row
        connection.executemany(
            "INSERT OR IGNORE INTO aliases VALUES (?, ?)", [(key, row) for key in entity.aliases]
        )
        connection.executemany(
            "INSERT INTO mentions VALUES (?, ?, ?)",
            [(row, chunk_numbers[chunk], count) for chunk, count in entity.chunks.items()],
        )
    connection.executemany(
        "INSERT INTO relations VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET count = count + excluded.count",
        [
            (rows[relation.source], rows[relation.target], relation.type, relation.count)
            for relation in content.relations
        ],
    )
    connection.executemany("INSERT OR IGNORE INTO proposals VALUES (?, ?, ?)", resolved.proposals)
