"""Readers of plain text, Markdown and HTML."""

from __future__ import annotations

import codecs
import html
import re
from typing import Final

from kbtui.server.parsing.document import Document, Heading, UnreadableError, markdown_headings

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_META_CHARSET: Final = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_NAVIGATION: Final = [
    "nav",
    "aside",
    "footer",
    '[role="navigation"]',
    '[role="banner"]',
    '[role="contentinfo"]',
    '[role="search"]',
]
_TITLE: Final = re.compile(r"<title[^>]{0,200}>([^<]{1,1000})</title>", re.IGNORECASE)
_TITLE_LINE: Final = re.compile(r"[A-Z0-9][^\n]{1,78}[^\s.,;:!?\"')]$")


def decode(data: bytes, declared: str | None = None) -> str:
    """Text of unknown encoding: by byte-order mark, as declared, UTF-8, else Windows-1252.

    Raises:
        UnreadableError: the bytes are no text at all.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _clean(data.decode(encoding, errors="replace"))
    if b"\0" in data[:65536]:
        raise UnreadableError("the file is binary, not text: check that its ending is right")
    for encoding in (declared or "utf-8", "utf-8", "cp1252"):
        try:
            return _clean(data.decode(encoding))
        except (UnicodeDecodeError, LookupError):
            continue
    return _clean(data.decode("latin-1"))


def _clean(text: str) -> str:
    """One kind of line end, and no control characters."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def read_markdown(data: bytes) -> Document:
    """A Markdown file, as it is."""
    text = decode(data)
    headings = markdown_headings(text)
    title = headings[0].title if headings else None
    return Document("Markdown", text, headings, title)


def read_plain(data: bytes) -> Document:
    """A text file. A short line that stands alone and does not end a sentence is a heading."""
    text = decode(data)
    headings = markdown_headings(text) or _standing_lines(text)
    return Document("text", text, headings, headings[0].title if headings else None)


def _standing_lines(text: str) -> list[Heading]:
    found = []
    offset = 0
    lines = text.split("\n")
    for number, line in enumerate(lines):
        alone = (number == 0 or not lines[number - 1].strip()) and (
            number + 1 < len(lines) and not lines[number + 1].strip()
        )
        if alone and _TITLE_LINE.fullmatch(line):
            found.append(Heading(offset, 1 if number == 0 else 2, line.strip()))
        offset += len(line) + 1
    return found


def read_html(data: bytes) -> Document:
    """An HTML page without its navigation, scripts, styles and forms, as Markdown."""
    from html_to_markdown import ConversionOptions, PreprocessingOptions, convert

    declared = _META_CHARSET.search(data[:4096])
    source = decode(data, declared[1].decode("ascii") if declared else None)
    options = ConversionOptions(
        extract_metadata=False,
        skip_images=True,
        compact_tables=True,
        exclude_selectors=_NAVIGATION,
        preprocessing=PreprocessingOptions(
            preset="standard", remove_navigation=True, remove_forms=True
        ),
    )
    text = convert(source, options).content or ""
    headings = markdown_headings(text)
    titled = _TITLE.search(source)
    title = " ".join(html.unescape(titled[1]).split()) if titled else ""
    return Document("HTML", text, headings, title or (headings[0].title if headings else None))
