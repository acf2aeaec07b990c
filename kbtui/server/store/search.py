"""Finding chunks and entities: full text and vectors, fused by rank."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from kbtui.server.entities.names import normalise
from kbtui.server.entities.words import COMMON
from kbtui.server.records import ChunkHit, EntityHit

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from kbtui.server.store.vectors import VectorMatrix

_FUSION: Final = 60
"""The constant of reciprocal rank fusion: Cormack, Clarke and Buettcher, SIGIR 2009."""

_CANDIDATES: Final = 50

_WEAK: Final = 0.5
"""A full-text match that scores less than this share of the best one is left out. Ranks do not
show that the best alone has the rare word, a serial number say, and the rest only the common ones.
"""

_MOST_WORDS: Final = 48
_WORD: Final = re.compile(r"[^\W_]+")


def match_expression(query: str) -> str | None:
    """A user's words as an FTS5 expression that matches any of them; None without any word.

    Every word is quoted, so nothing in it is an operator. Function words are left out unless
    there is nothing else.
    """
    words = list(dict.fromkeys(_WORD.findall(query.casefold())))
    telling = [word for word in words if word not in COMMON] or words
    return " OR ".join(f'"{word}"' for word in telling[:_MOST_WORDS]) or None


def fuse(*rankings: Iterable[int]) -> dict[int, float]:
    """Reciprocal rank fusion: the score of everything that is in any of the rankings."""
    scores: defaultdict[int, float] = defaultdict(float)
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            scores[item] += 1 / (_FUSION + rank)
    return dict(scores)


def search_chunks(
    connection: sqlite3.Connection,
    matrix: VectorMatrix,
    query: str,
    limit: int,
    domain: str | None,
) -> list[ChunkHit]:
    """The chunks that answer a query best, of one domain when it is given."""
    import numpy as np

    from kbtui.server.embedding.embedder import embed_query

    if limit < 1 or not query.strip():
        return []
    candidates = max(_CANDIDATES, limit * 5)
    matrix.catch_up(connection)
    vector = embed_query(query)
    allowed = None
    if domain is not None:
        rows = connection.execute(
            "SELECT w.n FROM windows w JOIN chunks c ON c.n = w.chunk"
            " JOIN documents d ON d.id = c.document_id WHERE d.domain = ?",
            (domain,),
        )
        allowed = np.fromiter((row[0] for row in rows), np.int64)
    by_vector = [number for number, _ in matrix.nearest(vector, candidates, allowed)]
    by_text = _text_windows(connection, query, candidates, domain)
    scores = fuse(by_vector, by_text)
    hits: dict[int, ChunkHit] = {}
    for number in sorted(scores, key=lambda number: (-scores[number], number)):
        row = _window(connection, number)
        if row["chunk"] in hits:
            continue
        hits[row["chunk"]] = ChunkHit(
            f"{row['document_id']}:{row['chunk_index']}",
            row["document_id"],
            row["name"],
            row["text"],
            row["chunk_index"],
            row["page"],
            row["heading"],
            matrix.similarity(vector, number),
            scores[number],
        )
        if len(hits) == limit:
            break
    return list(hits.values())


def _text_windows(
    connection: sqlite3.Connection, query: str, limit: int, domain: str | None
) -> list[int]:
    expression = match_expression(query)
    if expression is None:
        return []
    if domain is None:
        rows = connection.execute(
            "SELECT rowid, rank FROM windows_text WHERE windows_text MATCH ? ORDER BY rank LIMIT ?",
            (expression, limit),
        )
    else:
        rows = connection.execute(
            "SELECT t.rowid, t.rank FROM windows_text t JOIN windows w ON w.n = t.rowid"
            " JOIN chunks c ON c.n = w.chunk JOIN documents d ON d.id = c.document_id"
            " WHERE windows_text MATCH ? AND d.domain = ? ORDER BY t.rank LIMIT ?",
            (expression, domain, limit),
        )
    # FTS5 gives the better match the lower rank, below zero.
    found = [(number, rank) for number, rank in rows]
    return [number for number, rank in found if rank <= found[0][1] * _WEAK]


def _window(connection: sqlite3.Connection, number: int) -> sqlite3.Row:
    row: sqlite3.Row = connection.execute(
        "SELECT w.chunk, w.heading, w.page, c.document_id, c.chunk_index, c.text, d.name"
        " FROM windows w JOIN chunks c ON c.n = w.chunk JOIN documents d ON d.id = c.document_id"
        " WHERE w.n = ?",
        (number,),
    ).fetchone()
    return row


def search_entities(connection: sqlite3.Connection, query: str, limit: int) -> list[EntityHit]:
    """The entities whose name, acronym or description answers a query, best name first."""
    from rapidfuzz import fuzz

    key = normalise(query)
    expression = match_expression(query)
    if limit < 1 or expression is None:
        return []
    candidates = max(_CANDIDATES, limit * 5)
    by_text = connection.execute(
        "SELECT rowid FROM entities_text WHERE entities_text MATCH ?"
        " ORDER BY bm25(entities_text, 5.0, 1.0) LIMIT ?",
        (expression, candidates),
    )
    by_alias = connection.execute("SELECT entity FROM aliases WHERE key = ?", (key,))
    exact = {row[0] for row in by_alias}
    ranks = {row[0]: rank for rank, row in enumerate(by_text)}
    rows = []
    for number in {*exact, *ranks}:
        row = connection.execute("SELECT * FROM entities WHERE n = ?", (number,)).fetchone()
        alike = 1.0 if number in exact else fuzz.token_sort_ratio(key, row["key"]) / 100
        rows.append((row, round(alike, 4)))
    rows.sort(key=lambda item: (-item[1], ranks.get(item[0]["n"], 0), item[0]["n"]))
    return [
        EntityHit(
            row["id"],
            row["name"],
            row["type"],
            row["description"],
            _properties(connection, row["n"]),
            row["confidence"],
            alike,
        )
        for row, alike in rows[:limit]
    ]


def _properties(connection: sqlite3.Connection, entity: int) -> dict[str, Any]:
    """What the graph knows of an entity: acronyms, how often and where it is mentioned, and its
    strongest connections."""
    aliases = connection.execute("SELECT key FROM aliases WHERE entity = ?", (entity,))
    mentions, chunks, documents = connection.execute(
        "SELECT coalesce(sum(m.count), 0), count(*), count(DISTINCT c.document_id)"
        " FROM mentions m JOIN chunks c ON c.n = m.chunk WHERE m.entity = ?",
        (entity,),
    ).fetchone()
    relations = connection.execute(
        "SELECT r.type, s.name AS source, t.name AS target, r.count FROM relations r"
        " JOIN entities s ON s.n = r.source JOIN entities t ON t.n = r.target"
        " WHERE r.source = :entity OR r.target = :entity"
        " ORDER BY r.type = 'co_occurs', r.count DESC LIMIT 10",
        {"entity": entity},
    )
    return {
        "aliases": [row[0] for row in aliases],
        "mentions": mentions,
        "chunks": chunks,
        "documents": documents,
        "relations": [dict(row) for row in relations],
    }
