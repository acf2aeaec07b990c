"""Reader of Word documents (.docx)."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any, Final

from kbtui.server.parsing.document import Document, UnreadableError, markdown_headings

_HEADING: Final = re.compile(r"[Hh]eading ([1-9])")
_COMPOUND_FILE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MAX_UNPACKED: Final = 1 << 30
"""Bytes that a .docx may unpack to; above that it is taken for a decompression bomb."""


def read_docx(data: bytes) -> Document:
    """A Word document as Markdown: headings, paragraphs, lists and tables in their order.

    Raises:
        UnreadableError: not a Word document, damaged, or encrypted.
    """
    if data.startswith(_COMPOUND_FILE):
        raise UnreadableError(
            "the file is a password-protected or an old (.doc) Word document:"
            " save it as .docx without a password"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError):
        raise UnreadableError(
            "the file is not a Word document (.docx) or it is damaged: save it again as .docx"
        ) from None
    if unpacked > _MAX_UNPACKED:
        raise UnreadableError("the Word document unpacks to more than 1 GiB: split it")

    import docx

    try:
        source = docx.Document(io.BytesIO(data))
        lines = [line for block in source.iter_inner_content() if (line := _block(block))]
        title = source.core_properties.title
    except Exception as error:
        raise UnreadableError(
            f"the Word document is damaged ({type(error).__name__}): save it again as .docx"
        ) from error
    text = "\n\n".join(lines)
    headings = markdown_headings(text)
    return Document(
        "Word document", text, headings, title or (headings[0].title if headings else None)
    )


def _block(block: Any) -> str:
    """A paragraph or a table as Markdown."""
    if hasattr(block, "rows"):
        rows = [[" ".join(cell.text.split()) for cell in row.cells] for row in block.rows]
        if not rows:
            return ""
        rule = ["---"] * len(rows[0])
        return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))
    text = str(block.text).strip()
    style = str(block.style.name) if block.style is not None else ""
    if not text:
        return ""
    if match := _HEADING.match(style):
        return f"{'#' * min(6, int(match[1]))} {' '.join(text.split())}"
    if style == "Title":
        return f"# {' '.join(text.split())}"
    return f"- {text}" if style.startswith("List") else text
