"""What a search has found, as lines: passages with their words marked, and entities."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from kbtui.protocol.methods import ChunkHit, EntityHit
from kbtui.state.excerpt import excerpt, query_words
from kbtui.state.text import plain
from kbtui.tui.lines import Line, TextPane
from kbtui.tui.text import bar, fit, wrap

LONGEST_TEXT = 900
"""Characters shown of a passage, around the words of the question: about ten lines."""


_OWN_LINE = re.compile(r"[#|>]|[-*+] |\d+[.)] |```")
"""What Markdown's headings, tables, quotations, lists and code fences begin with."""


def words_pattern(query: str) -> re.Pattern[str] | None:
    """Matches the words of the query and words that begin with one; None for a query of none."""
    words = query_words(query)
    if not words:
        return None
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    alternatives = "|".join(re.escape(word) for word in longest_first)
    return re.compile(rf"\b(?:{alternatives})\w*", re.IGNORECASE)


def marked(text: str, pattern: re.Pattern[str] | None, style: Style, mark: Style) -> Line:
    """`text` with everything that the pattern matches marked."""
    if pattern is None:
        return [Segment(text, style)]
    line: Line = []
    done = 0
    for match in pattern.finditer(text):
        if match.start() > done:
            line.append(Segment(text[done : match.start()], style))
        line.append(Segment(match.group(), style + mark))
        done = match.end()
    if done < len(text):
        line.append(Segment(text[done:], style))
    return line


def paragraphs(text: str, width: int) -> list[str]:
    """A passage as lines of at most `width` cells.

    Lines of prose that follow one another are joined and broken anew; headings, list items and
    table rows stay lines of their own.
    """
    joined: list[str] = []
    open_prose = False
    for line in (part.strip() for part in text.splitlines()):
        if open_prose and line and not _OWN_LINE.match(line):
            joined[-1] += f" {line}"
            continue
        open_prose = bool(line) and not _OWN_LINE.match(line)
        if line:
            joined.append(line)
    return [row for part in joined for row in wrap(plain(part, LONGEST_TEXT), width)]


class _HitsPane(TextPane):
    """What the two panes have in common: a question, and why there is nothing to show."""

    title = ""
    hint = ""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._query = ""
        self._pattern: re.Pattern[str] | None = None
        self._nothing = self.hint
        self._failed = False

    def on_mount(self) -> None:
        """Name the pane."""
        self.border_title = self.title

    def fail(self, sentence: str) -> None:
        """The search has failed: say why."""
        self._nothing, self._failed = sentence, True
        self._clear()
        self.scroll_now(0)
        self.rebuild()

    def _clear(self) -> None:
        raise NotImplementedError

    def _found(self, query: str, nothing: str) -> None:
        self._query, self._pattern = query, words_pattern(query)
        self._nothing, self._failed = nothing, False
        self.scroll_now(0)
        self.rebuild()

    def _why_empty(self) -> list[Line]:
        role = self.roles.error if self._failed else self.roles.muted
        return [[Segment(text, self.base + role)] for text in wrap(self._nothing, self.line_width)]


class PassagesPane(_HitsPane):
    """The passages; up and down go from one to the next."""

    title = "Passages"
    hint = "Nothing searched yet. Passages that fit the question are shown here."

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._hits: Sequence[ChunkHit] = ()
        self._starts: list[int] = []
        self._current = 0

    def show(self, query: str, hits: Sequence[ChunkHit]) -> None:
        """Show what was found."""
        self._hits, self._current = hits, 0
        self._found(
            query,
            "No passage found. A document can be searched when its ingestion is completed; "
            "try other words.",
        )

    def _clear(self) -> None:
        self._hits = ()

    def build(self) -> list[Line]:
        """A head line and the text of each passage."""
        if not self._hits:
            return self._why_empty()
        lines: list[Line] = []
        self._starts = []
        for number, hit in enumerate(self._hits):
            self._starts.append(len(lines))
            lines.append(self._head(number, hit))
            shown = excerpt(hit.text, self._query, LONGEST_TEXT)
            for text in paragraphs(shown, max(10, self.line_width - 3)):
                marks = marked(
                    text, self._pattern, self.base + self.roles.text, self.roles.highlight
                )
                lines.append([Segment("   ", self.base), *marks])
            lines.append([])
        return lines

    def _head(self, number: int, hit: ChunkHit) -> Line:
        here = number == self._current
        base = self.base + (self.roles.cursor if here else Style.null())
        page = f"  p. {hit.page_number}" if hit.page_number is not None else ""
        heading = f"  {plain(hit.heading, 200)}" if hit.heading else ""
        score, meter = "", ("", "")
        if hit.similarity is not None:
            score = f" {hit.similarity:.2f}"
            if self.line_width >= 60:
                meter = bar(hit.similarity, 8, *self.glyphs.bar)
        room = self.line_width - 3 - cell_len(score) - len(meter[0] + meter[1]) - 1
        name = plain(hit.document_name, 200)
        name_room = max(4, room - len(page))
        name = fit(name, min(cell_len(name), name_room), ellipsis=self.glyphs.ellipsis)
        rest = fit(page + heading, max(0, room - cell_len(name)), ellipsis=self.glyphs.ellipsis)
        return [
            Segment(fit(str(number + 1), 3), base + self.roles.muted),
            Segment(name, base + self.roles.title),
            Segment(rest, base + self.roles.muted),
            Segment(" ", base),
            Segment(meter[0], base + self.roles.success),
            Segment(meter[1], base + self.roles.faint),
            Segment(score, base + self.roles.success),
        ]

    def _go(self, number: int) -> None:
        if self._hits:
            self._current = max(0, min(number, len(self._hits) - 1))
            self.rebuild()
            self.scroll_person(self._starts[self._current])

    def action_cursor_up(self) -> None:
        """The passage before."""
        self._go(self._current - 1)

    def action_cursor_down(self) -> None:
        """The next passage."""
        self._go(self._current + 1)

    def action_first(self) -> None:
        """The first passage."""
        self._go(0)

    def action_last(self) -> None:
        """The last passage."""
        self._go(len(self._hits) - 1)

    def copy_text(self) -> str:
        """The passage under the cursor with its source."""
        if not self._hits:
            return ""
        hit = self._hits[self._current]
        page = f", p. {hit.page_number}" if hit.page_number is not None else ""
        return f"{hit.text}\n({hit.document_name}{page})"


class EntitiesPane(_HitsPane):
    """The entities."""

    title = "Entities"
    hint = "People, places and things that fit are shown here."

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._hits: Sequence[EntityHit] = ()

    def show(self, query: str, hits: Sequence[EntityHit]) -> None:
        """Show what was found."""
        self._hits = hits
        self._found(query, "No entity found.")

    def _clear(self) -> None:
        self._hits = ()

    def build(self) -> list[Line]:
        """Name and type, then the description."""
        if not self._hits:
            return self._why_empty()
        lines: list[Line] = []
        width, more = self.line_width, self.glyphs.ellipsis
        for hit in self._hits:
            kind = plain(hit.type, 24)
            room = max(4, width - cell_len(kind) - 2)
            lines.append(
                [
                    Segment(fit(plain(hit.name, 200), room, ellipsis=more),
                            self.base + self.roles.title),
                    Segment("  " + kind, self.base + self.roles.accent),
                ]
            )  # fmt: skip
            if hit.description:
                for text in wrap(plain(hit.description, 300), max(10, width - 2)):
                    style = self.base + self.roles.muted
                    marks = marked(text, self._pattern, style, self.roles.highlight)
                    lines.append([Segment("  ", self.base), *marks])
        return lines
