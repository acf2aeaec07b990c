"""From Markdown to plain sentences, for the rules to read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kbtui.server.parsing.document import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

_FENCED: Final = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1[`~]*[ \t]*$", re.MULTILINE | re.DOTALL)
_URL: Final = re.compile(r"<?\b(?:https?|ftp)://[^\s>)]+>?")
_HEADING: Final = re.compile(r"^ {0,3}#{1,6}[ \t].*$|^ {0,3}(?:=+|-{2,})[ \t]*$", re.MULTILINE)
_ITEM: Final = re.compile(r"^[ \t>]*(?:[-*+]|\d{1,3}[.)])[ \t]+", re.MULTILINE)
_BLOCK: Final = re.compile(r"\n[ \t]*\n+|\n(?=\x1e)|[|\x1e]")
_END: Final = re.compile(r"(?<=[.!?])[\"'\u201d\u2019)\]]*\s+(?=[\"'\u201c\u2018(]?[A-Z0-9])")
_ABBREVIATION: Final = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|Fig|Vol|vs|approx|ca|cf|e\.g|i\.e|Jr|Sr)|\b[A-Z])\.$"
)


def sentences(markdown: str) -> Iterator[str]:
    """The sentences of a text, on one line each; headings, code and addresses are left out, list
    items and table cells stand for themselves."""
    text = _URL.sub("", _HEADING.sub("\n\n", _FENCED.sub("\n\n", markdown)))
    for block in _BLOCK.split(_ITEM.sub("\x1e", text)):
        line = plain_keeping_code(block)
        if any(map(str.isalpha, line)):
            yield from _split(line)


def plain_keeping_code(block: str) -> str:
    """A block on one line, without emphasis and links; `code` keeps its back quotes."""
    parts = block.split("`")
    if len(parts) % 2 == 0:
        return plain(block)
    marked = "`".join(
        part if index % 2 else re.sub(r"!?\[([^\]]*)\]\([^)]*\)|\*+|__+", _label, part)
        for index, part in enumerate(parts)
    )
    return " ".join(marked.split())


def _label(match: re.Match[str]) -> str:
    return match[1] or ""


def _split(line: str) -> Iterator[str]:
    start = 0
    for match in _END.finditer(line):
        if _ABBREVIATION.search(line, max(start, match.start() - 12), match.start()):
            continue
        yield line[start : match.start()].strip()
        start = match.end()
    if rest := line[start:].strip():
        yield rest
