"""Collecting entities and relations over one document."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Final

from kbtui.server.entities.names import classify, is_acronym, normalise
from kbtui.server.entities.patterns import definitions, is_a, mentions, verb_between
from kbtui.server.entities.sentences import sentences
from kbtui.server.parsing.messages import Entity, Relation

MAX_ENTITIES: Final = 5000
MAX_RELATIONS: Final = 20_000
"""The most of each kept from one document, the most frequent ones: catalogues name anything."""

_MOST_TOGETHER: Final = 8
"""A sentence that names more than this is a list; being in it together says nothing."""

_DESCRIPTION: Final = 240


@dataclass(slots=True)
class _Found:
    """What is known so far of one key."""

    names: Counter[str] = field(default_factory=Counter)
    chunks: Counter[int] = field(default_factory=Counter)
    description: str = ""
    defined: bool = False
    kind: tuple[str, float] | None = None
    inside: int = 0


class Extractor:
    """Reads a document's chunks in order; `finish` gives what was found in all of them.

    A capitalised word that only ever begins sentences is no entity, so nothing is settled before
    the end.
    """

    def __init__(self) -> None:
        self._found: defaultdict[str, _Found] = defaultdict(_Found)
        self._aliases: dict[str, str] = {}
        self._relations: Counter[tuple[str, str, str]] = Counter()
        self._together: Counter[tuple[str, str]] = Counter()

    def read(self, chunk: int, markdown: str) -> None:
        """Reads one chunk."""
        for sentence in sentences(markdown):
            self._sentence(chunk, sentence)

    def _sentence(self, chunk: int, sentence: str) -> None:
        named = mentions(sentence)
        keys = []
        for mention in named:
            key = normalise(mention.name)
            keys.append(key)
            if len(key) < 2:
                continue
            found = self._see(key, mention.name, chunk, sentence)
            found.inside += not mention.opens
            if mention.code:
                found.kind = ("identifier", 0.6)
        for name, acronym in definitions(sentence):
            short, long = normalise(acronym), normalise(name)
            self._define(long, name, chunk, sentence, 0.95)
            self._see(short, acronym, chunk, sentence).inside += 1
            self._aliases.setdefault(short, long)
        if said := is_a(sentence):
            thing, kind = (normalise(name) for name in said)
            if thing and kind and thing != kind:
                self._define(thing, said[0], chunk, sentence, 0.75)
                self._define(kind, said[1], chunk, "", 0.6)
                self._relations[thing, kind, "is_a"] += 1
        linked = set()
        for (left, left_key), (right, right_key) in pairwise(zip(named, keys, strict=True)):
            if verb := verb_between(sentence, left, right):
                relation, backwards = verb
                ends = (right_key, left_key) if backwards else (left_key, right_key)
                self._relations[*ends, relation] += 1
                linked.add(frozenset(ends))
        unique = sorted({key for key in keys if key})
        if len(unique) <= _MOST_TOGETHER:
            for pair in combinations(unique, 2):
                if frozenset(pair) not in linked:
                    self._together[pair] += 1

    def _see(self, key: str, name: str, chunk: int, sentence: str) -> _Found:
        found = self._found[key]
        found.names[name] += 1
        found.chunks[chunk] += 1
        if not found.description:
            found.description = _short(sentence)
        return found

    def _define(self, key: str, name: str, chunk: int, sentence: str, confidence: float) -> None:
        """A name that a sentence defines is an entity, and the sentence says what it is."""
        found = self._found[key]
        if not found.chunks[chunk]:
            found.chunks[chunk] += 1
        found.names[name] += 1
        found.inside += 1
        kind = classify(name)[0]
        if found.kind is None or found.kind[1] < confidence:
            found.kind = (kind if kind != "acronym" else "concept", confidence)
        if sentence and not found.defined:
            found.defined = True
            found.description = _short(sentence)

    def finish(self) -> tuple[list[Entity], list[Relation]]:
        """Everything found, an acronym merged with the name it was defined for."""
        for short, long in self._aliases.items():
            if short != long and short in self._found:
                self._found[long].chunks.update(self._found.pop(short).chunks)
        certain = {
            key: found for key, found in self._found.items() if len(key) > 1 and found.inside
        }
        kept = sorted(certain, key=lambda key: (-certain[key].chunks.total(), key))[:MAX_ENTITIES]
        names = {key: certain[key] for key in kept}
        aliases: defaultdict[str, list[str]] = defaultdict(list)
        for short, long in self._aliases.items():
            aliases[long].append(short)
        entities = [self._entity(key, found, aliases[key]) for key, found in names.items()]
        return entities, self._kept_relations(names)

    @staticmethod
    def _entity(key: str, found: _Found, aliases: list[str]) -> Entity:
        name = min(found.names, key=lambda name: (-found.names[name], name))
        kind, confidence = found.kind or classify(name)
        if is_acronym(name) and aliases:
            kind = "concept"
        # A name met again and again is less likely to be a slip of the rules.
        seen = found.chunks.total()
        confidence = round(min(0.95, confidence + 0.05 * min(3, seen - 1)), 2)
        return Entity(key, name, kind, found.description, confidence, aliases, dict(found.chunks))

    def _kept_relations(self, names: dict[str, _Found]) -> list[Relation]:
        counted: Counter[tuple[str, str, str]] = Counter()
        together = {(*pair, "co_occurs"): count for pair, count in self._together.items()}
        for (source, target, relation), count in (*self._relations.items(), *together.items()):
            start = self._aliases.get(source, source)
            end = self._aliases.get(target, target)
            if start != end and start in names and end in names:
                if relation == "co_occurs":
                    start, end = sorted((start, end))
                counted[start, end, relation] += count
        stated_first = sorted(
            counted.items(), key=lambda item: (item[0][2] == "co_occurs", -item[1], item[0])
        )
        return [Relation(*ends, count) for ends, count in stated_first[:MAX_RELATIONS]]


def _short(sentence: str) -> str:
    text = sentence.replace("`", "")
    if len(text) <= _DESCRIPTION:
        return text
    return text[: _DESCRIPTION - 1].rsplit(" ", 1)[0] + "\u2026"
