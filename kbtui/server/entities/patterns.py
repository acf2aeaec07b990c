"""The rules: which words of a sentence are names, and which connect two of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kbtui.server.entities.names import ACRONYM, is_acronym, long_form
from kbtui.server.entities.words import COMMON, ORGANISATION_ENDS

if TYPE_CHECKING:
    from collections.abc import Iterator

_UPPER: Final = "A-Z\u00c0-\u00d6\u00d8-\u00de"
_WORD: Final = rf"[{_UPPER}][\w&'\u2019-]*"
_JOIN: Final = r"(?:\s+(?:of(?:\s+the)?|for|de|la|du|van|von|der)(?=\s+[A-Z]))?"
_NAME: Final = re.compile(
    rf"(?<![\w`])(?:(?:Mr|Mrs|Ms|Dr|Prof|St)\.\s+)?{_WORD}(?:{_JOIN}\s+{_WORD})*"
)
_CODE: Final = re.compile(r"`([A-Za-z_][\w.:/-]{2,40})(?:\(\))?`")
_CAMEL: Final = re.compile(r"\b[a-z]+[A-Z]\w+\b")
_OF: Final = re.compile(r"\s+of(?:\s+the)?\s+")
_BRACKETS: Final = re.compile(r"\(([^()]{2,80})\)")


_IS_A: Final = re.compile(
    r"^(?:(?:The|A|An)\s+)?(?P<subject>(?:[\w'\u2019-]+\s+){0,3}[\w'\u2019-]+?)"
    r"(?:\s+\([^)]{2,40}\))?\s+(?:is|was|are|were)\s+(?:an?|one\s+of\s+the)\s+"
    r"(?P<object>(?:[\w-]+\s+){0,3}?[\w-]+)"
    r"(?=\s*(?:[,.;:)]|$|\b(?:that|which|who|whose|of|for|in|used|made|with|to|from|on|at|by|and|"
    r"where|whereby|built|found|invented|between|near)\b))"
)
_VERBS: Final = re.compile(
    r"\b(?P<passive>(?:is|are|was|were|been)\s+)?(?P<verb>acquire[sd]?|buil(?:t|ds?)|cause[sd]?"
    r"|contain(?:s|ed)?|design(?:s|ed)?|develop(?:s|ed)?|discover(?:s|ed)?|found(?:s|ed)"
    r"|include[sd]?|invent(?:s|ed)?|located in|made (?:of|from)|part of|power(?:s|ed)"
    r"|produce[sd]?|replace[sd]?|require[sd]?|supplie[sd]|support(?:s|ed)?|use[sd]?|wrote"
    r"|written)\b(?P<by>\s+by\b)?"
)
_RELATION: Final = {
    "acquire": "acquired",
    "buil": "built",
    "cause": "causes",
    "contain": "contains",
    "design": "designed",
    "develop": "developed",
    "discover": "discovered",
    "found": "founded",
    "include": "includes",
    "invent": "invented",
    "located": "located_in",
    "made": "made_of",
    "part": "part_of",
    "power": "powers",
    "produce": "produces",
    "replace": "replaces",
    "require": "requires",
    "supplie": "supplies",
    "support": "supports",
    "use": "uses",
    "wr": "wrote",
}
_LONGEST_NAME: Final = 80

_BETWEEN: Final = 60
"""The most characters between two names for a verb there to connect them."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A name in a sentence, from character `start` to `end`. `opens` is true of a single
    word that begins the sentence, which is capitalised whether it is a name or not."""

    start: int
    end: int
    name: str
    opens: bool = False
    code: bool = False


def mentions(sentence: str) -> list[Mention]:
    """The names in a sentence, in order, without overlaps."""
    found = [Mention(m.start(), m.end(), m[1], code=True) for m in _CODE.finditer(sentence)]
    found += [Mention(m.start(), m.end(), m[0], code=True) for m in _CAMEL.finditer(sentence)]
    shouting = sum(map(str.isupper, sentence)) > sum(map(str.islower, sentence))
    if not shouting:
        for match in _NAME.finditer(sentence):
            found += [
                mention
                for start, end in _parts(match)
                if (mention := _proper(sentence, start, end)) is not None
            ]
    found.sort(key=lambda mention: (mention.start, -mention.end))
    apart: list[Mention] = []
    for mention in found:
        if not apart or mention.start >= apart[-1].end:
            apart.append(mention)
    return apart


def _parts(match: re.Match[str]) -> Iterator[tuple[int, int]]:
    """A phrase, cut at an "of" that joins two names: "Ann Lee of the Marine Institute" is two,
    "Bay of Fundy" and "Department of the Treasury" are one."""
    start = match.start()
    for join in _OF.finditer(match[0]):
        left = match[0][start - match.start() : join.start()].split()
        if len(left) > 1 and left[-1] not in ORGANISATION_ENDS:
            yield start, match.start() + join.start()
            start = match.start() + join.end()
    yield start, match.end()


def _proper(sentence: str, start: int, end: int) -> Mention | None:
    """A capitalised phrase without the common words that it begins or ends with."""
    opens = not any(map(str.isalnum, sentence[:start]))
    words = list(re.finditer(r"\S+", sentence[start:end]))
    while words and words[0][0].casefold().rstrip(".") in COMMON:
        words.pop(0)
        opens = False
    while words and words[-1][0].casefold() in COMMON:
        words.pop()
    if not words:
        return None
    end = start + words[-1].end()
    start += words[0].start()
    name = re.sub(r"['\u2019]s?$", "", sentence[start:end].rstrip("-&"))
    if not 1 < len(name) <= _LONGEST_NAME:
        return None
    return Mention(start, end, name, opens and len(words) == 1 and not is_acronym(name))


def definitions(sentence: str) -> Iterator[tuple[str, str]]:
    """(long name, acronym) of every "Long Name (LN)" and "LN (Long Name)" in a sentence."""
    for match in _BRACKETS.finditer(sentence):
        before, inside = sentence[: match.start()].rstrip(), match[1].strip()
        if ACRONYM.fullmatch(inside):
            if name := long_form(inside, before):
                yield _without_article(name), inside
        elif (last := before.rpartition(" ")[2]) and ACRONYM.fullmatch(last):
            name = long_form(last, inside)
            if name is not None and name == inside:
                yield _without_article(name), last


def _without_article(name: str) -> str:
    first, _, rest = name.partition(" ")
    return rest if first.casefold() in ("the", "a", "an") and rest else name


def is_a(sentence: str) -> tuple[str, str] | None:
    """(thing, kind) of a sentence that begins with "A thing is a kind"."""
    match = _IS_A.match(sentence)
    if match is None:
        return None
    subject, kind = match["subject"], match["object"]
    words = subject.casefold().split()
    if any(word in COMMON for word in words) or kind.casefold() in COMMON:
        return None
    kinds = [word for word in kind.split() if word.casefold() not in COMMON]
    if not kinds or not any(map(str.isalpha, subject)) or len(subject) < 3 or len(kind) < 3:
        return None
    if kinds[-1] in ("kind", "type", "sort", "form", "part", "matter", "way", "number", "bit"):
        return None
    return subject, " ".join(kinds)


def verb_between(sentence: str, left: Mention, right: Mention) -> tuple[str, bool] | None:
    """The relation that a verb between two neighbouring names states, and whether it runs from
    right to left, as in "invented by"."""
    # An acronym in brackets ends with one.
    between = sentence[left.end : right.start].removeprefix(")")
    if len(between) > _BETWEEN or any(mark in between for mark in ".;:()"):
        return None
    match = _VERBS.search(between)
    if match is None:
        return None
    verb = match["verb"]
    relation = next(name for stem, name in _RELATION.items() if verb.startswith(stem))
    if match["by"]:
        return relation, True
    if match["passive"] and relation not in ("located_in", "made_of", "part_of"):
        return None
    return relation, False
