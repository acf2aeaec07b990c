"""Deciding which entities of a document are the ones that the knowledge base has already."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import msgspec

from kbtui.server.parsing.messages import Relation

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from kbtui.server.parsing.messages import Entity

ALIKE: Final = 90.0
"""The rapidfuzz ratio, 0 to 100, from which two keys are proposed as one. Only proposed: at 90
"Local" and "Locale" are alike."""

PREFIX: Final = 2
"""Keys are compared when they begin with the same characters: a ratio over 90 between names that
differ in their first letters is rare, and comparing all with all does not scale."""

SHORTEST: Final = 4
"""Shorter keys are not compared: at four letters one edit is a different word."""

Proposal = tuple[str, str, float]
"""Two keys, the first one smaller, and their ratio."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A document's entities under the keys that they will be stored by. `known` of them are in
    the knowledge base already; `keys` gives the stored key of each key found."""

    entities: Sequence[Entity]
    keys: dict[str, str]
    known: int
    proposals: Sequence[Proposal]


def resolve(connection: sqlite3.Connection, entities: Sequence[Entity]) -> Resolved:
    """Merges by key and by acronym; pairs that only look alike become proposals."""
    keys = {entity.key: _stored_key(connection, entity.key) for entity in entities}
    merged: dict[str, Entity] = {}
    for entity in entities:
        key = keys[entity.key]
        if key in merged:
            counts = Counter(merged[key].chunks)
            counts.update(entity.chunks)
            aliases = sorted({*merged[key].aliases, *entity.aliases})
            merged[key] = msgspec.structs.replace(merged[key], chunks=dict(counts), aliases=aliases)
        else:
            merged[key] = msgspec.structs.replace(entity, key=key)
    stored = {key for key in merged if _exists(connection, key)}
    fresh = [key for key in merged if key not in stored]
    return Resolved(list(merged.values()), keys, len(stored), _alike(connection, fresh))


def reconnect(resolved: Resolved, relations: Iterable[Relation]) -> list[Relation]:
    """The relations between the stored keys, counted together where they have become one."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for relation in relations:
        source, target = resolved.keys[relation.source], resolved.keys[relation.target]
        if relation.type == "co_occurs":
            source, target = sorted((source, target))
        if source != target:
            counted[source, target, relation.type] += relation.count
    return [Relation(*ends, count) for ends, count in counted.items()]


def _exists(connection: sqlite3.Connection, key: str) -> bool:
    found = connection.execute("SELECT 1 FROM entities WHERE key = ?", (key,)).fetchone()
    return found is not None


def _stored_key(connection: sqlite3.Connection, key: str) -> str:
    """The key of the entity that this key is an acronym of, if exactly one has it; else itself."""
    rows = connection.execute(
        "SELECT e.key FROM aliases a JOIN entities e ON e.n = a.entity WHERE a.key = ? LIMIT 2",
        (key,),
    ).fetchall()
    return str(rows[0][0]) if len(rows) == 1 else key


def _alike(connection: sqlite3.Connection, keys: Sequence[str]) -> list[Proposal]:
    """Proposals among new keys, and between them and stored ones."""
    by_prefix: dict[str, list[str]] = {}
    for key in keys:
        if len(key) >= SHORTEST:
            by_prefix.setdefault(key[:PREFIX], []).append(key)
    found: list[Proposal] = []
    for prefix, group in by_prefix.items():
        found += compare(combinations(group, 2))
        stored = connection.execute(
            "SELECT key FROM entities WHERE key >= ? AND key < ? AND length(key) >= ?",
            (prefix, prefix + "\U0010ffff", SHORTEST),
        ).fetchall()
        found += compare((key, str(other)) for key in group for (other,) in stored)
    return found


def compare(pairs: Iterable[tuple[str, str]]) -> list[Proposal]:
    """Those pairs of keys that look alike."""
    from rapidfuzz import fuzz

    found = []
    for pair in pairs:
        first, second = sorted(pair)
        score = fuzz.ratio(first, second, score_cutoff=ALIKE)
        if score and first != second and not _differ_in_digits(first, second):
            found.append((first, second, score))
    return found


def _differ_in_digits(first: str, second: str) -> bool:
    """ "Unit 12" and "Unit 13" look alike and are never the same."""
    return [c for c in first if c.isdigit()] != [c for c in second if c.isdigit()]
