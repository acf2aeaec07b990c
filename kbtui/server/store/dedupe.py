"""The sweep over all entities: acronyms are merged, pairs that look alike are proposed."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from kbtui.server.entities.resolve import PREFIX, SHORTEST, compare
from kbtui.server.records import DedupeReport

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from kbtui.server.entities.resolve import Proposal


def alike(connection: sqlite3.Connection) -> list[Proposal]:
    """All pairs of stored entities that look alike."""
    groups: dict[str, list[str]] = {}
    for (key,) in connection.execute("SELECT key FROM entities"):
        if len(key) >= SHORTEST:
            groups.setdefault(key[:PREFIX], []).append(key)
    return [pair for group in groups.values() for pair in compare(combinations(group, 2))]


def apply(connection: sqlite3.Connection, proposals: Sequence[Proposal]) -> DedupeReport:
    """Merges every entity whose name is the acronym of exactly one other into that one, and
    keeps the proposals whose two entities still exist; one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (total,) = connection.execute("SELECT count(*) FROM entities").fetchone()
        merged = 0
        for short, long in connection.execute(
            "SELECT e.n, min(a.entity) FROM entities e JOIN aliases a ON a.key = e.key"
            " GROUP BY e.n HAVING count(*) = 1 AND min(a.entity) <> e.n"
        ).fetchall():
            merged += _merge(connection, short, long)
        connection.executemany("INSERT OR IGNORE INTO proposals VALUES (?, ?, ?)", proposals)
        connection.execute(
            "DELETE FROM proposals WHERE first NOT IN (SELECT key FROM entities)"
            " OR second NOT IN (SELECT key FROM entities)"
        )
        (pending,) = connection.execute("SELECT count(*) FROM proposals").fetchone()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return DedupeReport(total, merged, pending)


def _merge(connection: sqlite3.Connection, gone: int, kept: int) -> bool:
    """Moves everything of one entity to another; False if an earlier merge took either away."""
    (both,) = connection.execute(
        "SELECT count(*) FROM entities WHERE n IN (?, ?)", (gone, kept)
    ).fetchone()
    if both != 2:
        return False
    pair = {"gone": gone, "kept": kept}
    connection.execute(
        "INSERT INTO mentions SELECT :kept, chunk, count FROM mentions WHERE entity = :gone"
        " ON CONFLICT DO UPDATE SET count = count + excluded.count",
        pair,
    )
    connection.execute(
        "INSERT INTO relations SELECT CASE source WHEN :gone THEN :kept ELSE source END AS s,"
        " CASE target WHEN :gone THEN :kept ELSE target END AS t, type, count FROM relations"
        " WHERE (source = :gone OR target = :gone) AND s <> t"
        " ON CONFLICT DO UPDATE SET count = count + excluded.count",
        pair,
    )
    connection.execute(
        "INSERT OR IGNORE INTO aliases SELECT key, :kept FROM aliases WHERE entity = :gone", pair
    )
    connection.execute("DELETE FROM mentions WHERE entity = :gone", pair)
    connection.execute("DELETE FROM relations WHERE source = :gone OR target = :gone", pair)
    connection.execute("DELETE FROM aliases WHERE entity = :gone", pair)
    connection.execute("DELETE FROM entities WHERE n = :gone", pair)
    return True
