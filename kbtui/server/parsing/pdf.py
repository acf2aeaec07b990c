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
        parts: list[str] = []
        starts: list[int] = []
        length = 0
        for index in range(total):
            starts.append(length)
            part = _page_text(pdf, index) + "\n\n"
            parts.append(part)
            length += len(part)
            progress(index + 1, total)
        text = "".join(parts)
        if not text.strip():
            raise UnreadableError("no text found in the PDF: scanned pages need OCR first")
        headings = _contents(pdf, text, starts)
        title = str(pdf.get_metadata_dict().get("Title") or "").strip()
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


def _contents(pdf: Any, text: str, starts: list[int]) -> list[Heading]:
    """The table of contents as headings, each where its title stands on its page, else at the
    top of the page."""
    found = []
    for bookmark in pdf.get_toc():
        destination = bookmark.get_dest()
        page = destination.get_index() if destination is not None else None
        title = " ".join(bookmark.get_title().split())
        if page is None or not 0 <= page < len(starts) or not title:
            continue
        end = starts[page + 1] if page + 1 < len(starts) else len(text)
        words = r"\s+".join(re.escape(word) for word in title.split())
        match = re.compile(words, re.IGNORECASE).search(text, starts[page], end)
        found.append(Heading(match.start() if match else starts[page], bookmark.level + 1, title))
    return sorted(found, key=lambda heading: heading.offset)
