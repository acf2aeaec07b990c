"""Reader of PDF files, page by page, with PDFium."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from kbtui.server.parsing.document import Document, Heading, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

_BROKEN_WORD: Final = re.compile("[\ufffe\u00ad\x02]\\s*")
"""PDFium marks a word broken at a line's end by one of these characters."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ufffe\uffff]")


def read_pdf(data: bytes, progress: Callable[[int, int], None]) -> Document:
    """The text layer of a PDF; `progress` gets pages read and pages in all.

    Raises:
        UnreadableError: damaged, password-protected, or no text in it.
    """
    import pypdfium2
    from pypdfium2 import raw

    try:
        pdf = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        code = getattr(error, "err_code", None)
        if code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
            raise UnreadableError(
                "the PDF is password-protected: save a copy without the password"
            ) from None
        raise UnreadableError("the file is not a PDF or it is damaged: export it again") from None
    with pdf:
        total = len(pdf)
        contents = _contents(pdf)
        parts: list[str] = []
        starts: list[int] = []
        headings: list[Heading] = []
        length = 0
        for index in range(total):
            starts.append(length)
            page, found = _set_off(_page_text(pdf, index), contents.get(index, []))
            headings += [Heading(length + at, level, title) for at, level, title in found]
            parts.append(page + "\n\n")
            length += len(parts[-1])
            progress(index + 1, total)
        title = str(pdf.get_metadata_dict().get("Title") or "").strip()
    text = "".join(parts)
    if not text.strip():
        raise UnreadableError("no text found in the PDF: scanned pages need OCR first")
    return Document("PDF", text, headings, title or None, starts)


def _page_text(pdf: Any, index: int) -> str:
    """The text of one page; a page that PDFium cannot load is left empty, not fatal."""
    import pypdfium2

    try:
        page = pdf[index]
    except pypdfium2.PdfiumError:
        return ""
    try:
        textpage = page.get_textpage()
        try:
            text = str(textpage.get_text_range())
        finally:
            textpage.close()
    finally:
        page.close()
    text = _BROKEN_WORD.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _CONTROL.sub("", text).strip()


def _contents(pdf: Any) -> dict[int, list[tuple[int, str]]]:
    """(level, title) of the table of contents' entries, by page number from 0."""
    found: dict[int, list[tuple[int, str]]] = {}
    for bookmark in pdf.get_toc():
        destination = bookmark.get_dest()
        page = destination.get_index() if destination is not None else None
        title = " ".join(_CONTROL.sub("", bookmark.get_title()).split())
        if page is not None and title:
            found.setdefault(page, []).append((bookmark.level + 1, title))
    return found


def _set_off(page: str, entries: list[tuple[int, str]]) -> tuple[str, list[tuple[int, int, str]]]:
    """A page's text with blank lines around the titles that stand on lines of their own, and
    (offset, level, title) of its entries, those not found at the place of the one before."""
    out = ""
    found = []
    position = at = 0
    for level, title in entries:
        words = r"\s+".join(re.escape(word) for word in title.split())
        match = re.compile(rf"^[ \t]*{words}[ \t]*$", re.IGNORECASE | re.MULTILINE).search(
            page, position
        )
        if match:
            before = (out + page[position : match.start()].lstrip("\n")).rstrip()
            at = len(before) + 2 if before else 0
            out = (before + "\n\n" if before else "") + match[0].strip() + "\n\n"
            position = match.end()
        found.append((at, level, title))
    return out + page[position:].lstrip("\n"), found
