"""The database's tables, its version, and opening it."""

from __future__ import annotations

import os
import sqlite3
import uuid
from typing import TYPE_CHECKING, Final

from kbtui.server.embedding.identity import EMBEDDER_ID
from kbtui.server.errors import KnowledgeBaseError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_VERSION: Final = 1
"""Kept in `PRAGMA user_version`."""

FILE_NAME: Final = "knowledge.db"

_BUSY_SECONDS: Final = 10.0

_TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    domain TEXT,
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    pages INTEGER,
    chunks INTEGER NOT NULL,
    entities INTEGER NOT NULL,
    duration REAL NOT NULL,
    created_at REAL NOT NULL,
    idempotency_key TEXT UNIQUE,
    embedder TEXT NOT NULL,
    metadata TEXT NOT NULL
);
CREATE INDEX documents_content ON documents (sha256, domain);
CREATE TABLE chunks (
    n INTEGER PRIMARY KEY,
    document_id TEXT NOT NULL REFERENCES documents (id),
    chunk_index INTEGER NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (document_id, chunk_index)
);
CREATE TABLE windows (
    n INTEGER PRIMARY KEY,
    chunk INTEGER NOT NULL REFERENCES chunks (n),
    text TEXT NOT NULL,
    heading TEXT,
    page INTEGER,
    vector BLOB NOT NULL
);
CREATE VIRTUAL TABLE windows_text USING fts5 (
    text, heading,
    content = 'windows', content_rowid = 'n',
    tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER windows_indexed AFTER INSERT ON windows BEGIN
    INSERT INTO windows_text (rowid, text, heading) VALUES (new.n, new.text, new.heading);
END;
CREATE TABLE entities (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    description TEXT NOT NULL,
    confidence REAL NOT NULL
);
CREATE VIRTUAL TABLE entities_text USING fts5 (
    name, description,
    content = 'entities', content_rowid = 'n',
    tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER entities_indexed AFTER INSERT ON entities BEGIN
    INSERT INTO entities_text (rowid, name, description)
    VALUES (new.n, new.name, new.description);
END;
CREATE TRIGGER entities_unindexed AFTER DELETE ON entities BEGIN
    INSERT INTO entities_text (entities_text, rowid, name, description)
    VALUES ('delete', old.n, old.name, old.description);
END;
CREATE TABLE aliases (
    key TEXT NOT NULL,
    entity INTEGER NOT NULL REFERENCES entities (n),
    PRIMARY KEY (key, entity)
) WITHOUT ROWID;
CREATE INDEX aliases_entity ON aliases (entity);
CREATE TABLE mentions (
    entity INTEGER NOT NULL REFERENCES entities (n),
    chunk INTEGER NOT NULL REFERENCES chunks (n),
    count INTEGER NOT NULL,
    PRIMARY KEY (entity, chunk)
) WITHOUT ROWID;
CREATE TABLE relations (
    source INTEGER NOT NULL REFERENCES entities (n),
    target INTEGER NOT NULL REFERENCES entities (n),
    type TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (source, target, type)
) WITHOUT ROWID;
CREATE INDEX relations_target ON relations (target);
CREATE TABLE proposals (
    first TEXT NOT NULL,
    second TEXT NOT NULL,
    score REAL NOT NULL,
    PRIMARY KEY (first, second)
) WITHOUT ROWID;
"""
# A vector is 384 float32, little-endian as on every platform supported. A proposal is a pair of
# entity keys, first < second, that look alike and were not merged.


def prepare(data_dir: Path) -> Path:
    """Makes or checks the database in `data_dir`, readable by its owner only; gives its path.

    Raises:
        KnowledgeBaseError: it cannot be opened, is damaged, newer, or of another embedder.
    """
    path = data_dir / FILE_NAME
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made here so that it is private from its first byte; SQLite gives its mode to -wal, -shm.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        connection = connect(path)
    except OSError as error:
        raise KnowledgeBaseError(
            f"the knowledge base cannot be opened ({error.strerror}): {path}"
        ) from error
    except sqlite3.Error as error:
        raise KnowledgeBaseError(
            f"the knowledge base cannot be opened ({error}): {path}"
        ) from error
    try:
        _create_or_check(connection, path)
    except sqlite3.Error as error:
        raise KnowledgeBaseError(f"the knowledge base cannot be read ({error}): {path}") from error
    finally:
        connection.close()
    return path


def connect(path: Path) -> sqlite3.Connection:
    """A connection for one thread at a time, in autocommit, with write-ahead logging."""
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit survives a killed process as it is; FULL makes it survive a power cut too.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        connection.close()
        raise
    connection.row_factory = sqlite3.Row
    return connection


def _create_or_check(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise KnowledgeBaseError(
                f"the knowledge base was written by a newer kbtui (schema {version}, this one"
                f" knows {SCHEMA_VERSION}): install the newer version to use it: {path}"
            )
        if version == 0:
            for statement in _statements(_TABLES):
                connection.execute(statement)
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?)",
                [("instance_id", str(uuid.uuid4())), ("embedder", EMBEDDER_ID)],
            )
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        embedder = meta(connection, "embedder")
        if embedder != EMBEDDER_ID:
            raise KnowledgeBaseError(
                f"the knowledge base was made with the embedder {embedder}, this kbtui has"
                f" {EMBEDDER_ID}: ingest the documents into a new data directory: {path}"
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> list[str]:
    """The statements of a script one by one: `executescript` would commit the transaction."""
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current.strip())
            current = ""
    return statements


def meta(connection: sqlite3.Connection, key: str) -> str:
    """A value of the meta table; an empty string when it is not there."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return str(row[0]) if row is not None else ""
