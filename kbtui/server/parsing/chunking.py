"""Cutting a document into windows for the embedder and chunks for display."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from kbtui.server.embedding.tokens import TOKEN_LIMIT, token_count
from kbtui.server.parsing.messages import Chunk, Window

if TYPE_CHECKING:
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    from kbtui.server.parsing.document import Document

WINDOW_CHARACTERS: Final = 1000
"""The most characters of a window; about 220 tokens of English."""

CHUNK_CHARACTERS: Final = 6000
"""The most characters of a chunk, which a reader is shown; 1,536 tokens of English."""


@dataclass(frozen=True, slots=True)
class Span:
    """A window's place in the text: characters `start` to `end`."""

    start: int
    end: int


def cut(document: Document) -> list[Chunk]:
    """The chunks of a document, in order, each with its windows.

    The text is cut once, into windows that do not overlap; a chunk is a run of windows. A run
    ends where the next window would make it too long, or at a heading once it is half full.
    """
    chunks: list[Chunk] = []
    run: list[Span] = []
    for span in windows(document.text):
        if run and _ends(document, run, span):
            chunks.append(_chunk(document, run))
            run = []
        run.append(span)
    if run:
        chunks.append(_chunk(document, run))
    return chunks


def windows(text: str) -> list[Span]:
    """The windows of a text, none longer than the embedder reads."""
    spans: list[Span] = []
    for start, part in _markdown_splitter().chunk_indices(text):
        if token_count(part) <= TOKEN_LIMIT:
            spans.append(Span(start, start + len(part)))
            continue
        spans.extend(
            Span(start + inner, start + inner + len(piece))
            for inner, piece in _token_splitter().chunk_indices(part)
        )
    return [span for span in spans if any(map(str.isalnum, text[span.start : span.end]))]


@cache
def _markdown_splitter() -> MarkdownSplitter:
    from semantic_text_splitter import MarkdownSplitter

    return MarkdownSplitter(WINDOW_CHARACTERS)


@cache
def _token_splitter() -> TextSplitter:
    from semantic_text_splitter import TextSplitter

    return TextSplitter.from_callback(token_count, TOKEN_LIMIT)


def _ends(document: Document, run: list[Span], following: Span) -> bool:
    start = run[0].start
    if following.end - start > CHUNK_CHARACTERS:
        return True
    heading = document.heading_at(following.start, following.end)
    begins_section = heading is not None and heading.offset >= run[-1].end
    return begins_section and following.start - start >= CHUNK_CHARACTERS // 2


def _chunk(document: Document, run: list[Span]) -> Chunk:
    start, end = run[0].start, run[-1].end
    return Chunk(
        document.text[start:end],
        _title(document, run[0]),
        document.page_at(start),
        [
            Window(
                document.text[span.start : span.end],
                _title(document, span),
                document.page_at(span.start),
            )
            for span in run
        ],
    )


def _title(document: Document, span: Span) -> str | None:
    heading = document.heading_at(span.start, span.end)
    return heading.title if heading is not None else None
