"""Questions about what is stored: single documents and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kbtui.server.records import Counts, StoredDocument

if TYPE_CHECKING:
    import sqlite3

_COLUMNS: Final = (
    "id AS document_id, name, domain, sha256, size, pages, chunks, entities, duration, created_at"
)


def by_id(connection: sqlite3.Connection, document_id: str) -> StoredDocument | None:
    """The document with this id."""
    return _one(
        connection.execute(f"SELECT {_COLUMNS} FROM documents WHERE id = ?", (document_id,))
    )


def by_key(connection: sqlite3.Connection, idempotency_key: str) -> StoredDocument | None:
    """The document stored under this idempotency key."""
    return _one(
        connection.execute(
            f"SELECT {_COLUMNS} FROM documents WHERE idempotency_key = ?",
            (idempotency_key,),
        )
    )


def by_content(
    connection: sqlite3.Connection, domain: str | None, sha256: str
) -> StoredDocument | None:
    """The first document of this domain (None is a domain of its own) with this content."""
    return _one(
        connection.execute(
            f"SELECT {_COLUMNS} FROM documents WHERE sha256 = ? AND domain IS ?"
            " ORDER BY created_at LIMIT 1",
            (sha256, domain),
        )
    )


def counts(connection: sqlite3.Connection) -> Counts:
    """How much is stored; acronyms count as relations, alias_of."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM chunks),"
        " (SELECT count(*) FROM windows), (SELECT count(*) FROM entities),"
        " (SELECT count(*) FROM relations) + (SELECT count(*) FROM aliases)"
    ).fetchone()
    return Counts(*row)


def _one(cursor: sqlite3.Cursor) -> StoredDocument | None:
    row = cursor.fetchone()
    return StoredDocument(**dict(row)) if row is not None else None
