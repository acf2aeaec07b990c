"""What of a long passage is worth showing first: the stretch with most of the query's words."""

from __future__ import annotations

import re
from typing import Final

SHORTEST_WORD: Final = 3

STOP_WORDS: Final = frozenset(
    "about after all also and any are because been before but can could did does for from had has "
    "have her him his how into its may more most not off one only other our out over she some such "
    "than that the their them then there these they this those through was were what when where "
    "which who whose why will with would you your".split()
)
"""English words that stand everywhere and point at nothing."""

_PLACES: Final = 50
_LEAD: Final = 60


def query_words(query: str) -> list[str]:
    """The words of a query that are worth looking for, in lower case, each once."""
    words = re.findall(r"\w+", query.lower())
    return [
        word
        for word in dict.fromkeys(words)
        if len(word) >= SHORTEST_WORD and word not in STOP_WORDS
    ]


def excerpt(text: str, query: str, length: int) -> str:
    """At most about `length` characters of `text`, from a little before where most words stand."""
    words = query_words(query)
    lowered = text.lower()
    places = [place for word in words for place in _places(lowered, word)]
    if len(text) <= length or not places:
        return text[:length] + (" …" if len(text) > length else "")
    best = max(
        sorted(places),
        key=lambda place: sum(word in lowered[place : place + length] for word in words),
    )
    begin = max(lowered.rfind(" ", 0, best - _LEAD), lowered.rfind("\n", 0, best - _LEAD)) + 1
    if best <= _LEAD:
        begin = 0
    end = begin + length
    return ("… " if begin else "") + text[begin:end].rstrip() + (" …" if end < len(text) else "")


def _places(text: str, word: str) -> list[int]:
    places: list[int] = []
    place = text.find(word)
    while place >= 0 and len(places) < _PLACES:
        places.append(place)
        place = text.find(word, place + 1)
    return places
