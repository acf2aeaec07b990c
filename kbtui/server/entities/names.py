"""Names: when two are the same, which are acronyms of which, and what kind of thing they name."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from kbtui.server.entities.words import (
    GIVEN_NAMES,
    ORGANISATION_ENDS,
    PERSON_TITLES,
    PLACE_ENDS,
    PLACE_STARTS,
)

_POSSESSIVE: Final = re.compile(r"['\u2019]s?(?=\s|$)")
_SEPARATORS: Final = re.compile(r"[\W_]+")
_ARTICLES: Final = ("the ", "a ", "an ")

ACRONYM: Final = re.compile(r"[A-Z][A-Z0-9&-]{1,7}")
_ROMAN: Final = re.compile(r"[IVXLC]+")


def normalise(name: str) -> str:
    """The key of a name: names with the same key are the same entity. Case, accents' form,
    punctuation, possessives and a leading article make no difference."""
    text = unicodedata.normalize("NFKC", name).casefold()
    text = _SEPARATORS.sub(" ", _POSSESSIVE.sub("", text)).strip()
    for article in _ARTICLES:
        text = text.removeprefix(article)
    return text


def is_acronym(word: str) -> bool:
    """Whether a word is written like an acronym, and is not a Roman numeral."""
    return ACRONYM.fullmatch(word) is not None and _ROMAN.fullmatch(word) is None


def long_form(acronym: str, before: str) -> str | None:
    """The name that `acronym` stands for, at the end of the text before it, or None.

    Schwartz and Hearst, "A simple algorithm for identifying abbreviation definitions in
    biomedical text" (2003): letters are matched from the right, the first one at a word's start.
    """
    words = before.split()
    before = " ".join(words[-min(len(acronym) + 5, len(acronym) * 2) :])
    position = len(before) - 1
    for index in range(len(acronym) - 1, -1, -1):
        letter = acronym[index].casefold()
        if not letter.isalnum():
            continue
        while position >= 0 and (
            before[position].casefold() != letter
            or (index == 0 and position > 0 and before[position - 1].isalnum())
        ):
            position -= 1
        if position < 0:
            return None
        position -= 1
    name = before[position + 1 :].strip(" ,;:\"'")
    longer = len(name.split()) > 1 and len(name) > len(acronym)
    return name if longer and not any(char in name for char in ".;:()") else None


def classify(name: str) -> tuple[str, float]:
    """What kind of thing a proper name seems to name, by its words, and how sure that is."""
    words = name.replace(".", " ").split()
    first, last = words[0], words[-1]
    if first in PERSON_TITLES and len(words) > 1:
        return "person", 0.9
    if last in ORGANISATION_ENDS or any(word in ORGANISATION_ENDS for word in words[:-1]):
        return "organisation", 0.85
    if len(words) > 1 and (last in PLACE_ENDS or first in PLACE_STARTS):
        return "place", 0.8
    if first.split("-")[0] in GIVEN_NAMES and 2 <= len(words) <= 4:
        return "person", 0.75
    if is_acronym(name):
        return "acronym", 0.6
    return "concept", 0.7 if len(words) > 1 else 0.5
