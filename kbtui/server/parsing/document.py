"""A document as every reader hands it on: one text, with headings and pages by offset."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final


class UnreadableError(Exception):
    """The file is not a document that can be read; its text is one line for people."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading that begins at character `offset`; level 1 is the topmost."""

    offset: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Document:
    """The text of a file. `page_starts` holds the character offset of every page, in order, and
    is None for formats without pages."""

    kind: str
    text: str
    headings: list[Heading] = field(default_factory=list)
    title: str | None = None
    page_starts: list[int] | None = None

    def heading_at(self, start: int, end: int) -> Heading | None:
        """The heading that text from `start` to `end` stands under: the last one before it, or
        the one that it begins with."""
        index = bisect_right(self.headings, start, key=lambda heading: heading.offset) - 1
        if index < 0 and self.headings and self.headings[0].offset < end:
            index = 0
        return self.headings[index] if index >= 0 else None

    def page_at(self, offset: int) -> int | None:
        """The number of the page that character `offset` is on, from 1."""
        if self.page_starts is None:
            return None
        return max(1, bisect_right(self.page_starts, offset))


_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX: Final = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?[ \t]*#*[ \t]*$")
_SETEXT: Final = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_FRONT_MATTER: Final = re.compile(r"---\n(?:.*\n)*?---\n")
_INLINE: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|[*_`]+")


def plain(markdown: str) -> str:
    """A line of Markdown without links and emphasis."""
    return " ".join(_INLINE.sub(lambda match: match[1] or "", markdown).split())


def markdown_headings(text: str) -> list[Heading]:
    """The headings of a Markdown text, `#` and underlined ones, outside fenced code."""
    found: list[Heading] = []
    offset = 0
    fence: str | None = None
    previous, previous_offset = "", 0
    front_matter = _FRONT_MATTER.match(text)
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        if front_matter and offset < front_matter.end():
            bare = ""
        elif opening := _FENCE.match(bare):
            if fence is None:
                fence = opening[1]
            elif opening[1].startswith(fence) and not bare.strip(" `~"):
                fence = None
        elif fence is None:
            if match := _ATX.match(bare):
                _append(found, offset, len(match[1]), match[2] or "")
                bare = ""
            elif (match := _SETEXT.match(bare)) and _can_be_underlined(previous):
                _append(found, previous_offset, 1 if match[1][0] == "=" else 2, previous)
                bare = ""
        previous, previous_offset = bare, offset
        offset += len(line)
    return found


def _append(found: list[Heading], offset: int, level: int, markdown: str) -> None:
    if title := plain(markdown):
        found.append(Heading(offset, level, title))


def _can_be_underlined(line: str) -> bool:
    return bool(line.strip()) and line.lstrip()[0] not in "-*+>|#" and len(line) < 200
