"""The documents table: one line a document, drawn only where it is seen and has changed."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from kbtui.ingest.jobs import SENT
from kbtui.state.store import Store
from kbtui.state.views import DocumentView
from kbtui.tui.actions import TABLE, bindings
from kbtui.tui.columns import Columns, layout
from kbtui.tui.lines import LinesPane
from kbtui.tui.order import Ordering
from kbtui.tui.rows import document_row, header_row
from kbtui.tui.text import fit, strip

HEADER = 1


class DocumentsTable(LinesPane):
    """All documents. The cursor stays on its document, wherever that moves; until a person moves
    it, it stays on the first line, so that the pane beside shows what runs."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(TABLE)]

    class Selected(Message):
        """The cursor stands on another document (or on none)."""

        def __init__(self, job_id: str | None) -> None:
            super().__init__()
            self.job_id = job_id

    class Opened(Message):
        """A person wants to see the selected document's stages."""

    def __init__(self, store: Store, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._store = store
        self._order = Ordering()
        self._columns: Columns = layout(80)
        self._pinned: str | None = None
        self._announced: str | None = None
        self.lines_drawn = 0
        """How many lines were drawn so far: what a test of the drawing's cost looks at."""

    # What is shown

    @property
    def job_id(self) -> str | None:
        """The job under the cursor."""
        if self._pinned is not None:
            return self._pinned
        return self._order.at(0)

    @property
    def cursor_row(self) -> int | None:
        """The cursor's row; None where its document is filtered out or there is none."""
        return self._order.row(self.job_id)

    @property
    def pinned(self) -> bool:
        """Whether a person has put the cursor where it is."""
        return self._pinned is not None

    @property
    def shown(self) -> int:
        """How many documents the filter lets through."""
        return len(self._order)

    @property
    def words(self) -> str:
        """What a document must contain to be shown; empty shows all."""
        return self._order.words

    def only(self, words: str) -> None:
        """Show only the documents that contain all these words."""
        self._order.words = words
        self._order.rebuild(self._store.documents)
        if self._order.row(self._pinned) is None:
            self._pinned = None
        self.scroll_now(0)
        self._reordered()

    def changed(self, job_ids: AbstractSet[str]) -> None:
        """These documents have changed: draw those that are seen."""
        if self._order.update(self._store.documents, job_ids):
            self._reordered()
            return
        for y, job_id in enumerate(self._visible(), HEADER):
            if job_id in job_ids:
                self.refresh_rows(y)

    def tick(self) -> None:
        """A second has passed: draw the clocks of what runs."""
        documents = self._store.documents
        for y, job_id in enumerate(self._visible(), HEADER):
            if documents[job_id].state in SENT:
                self.refresh_rows(y)

    def _visible(self) -> list[str]:
        top = self.scroll_offset.y
        return self._order.slice(top, top + max(0, self.size.height - HEADER))

    def _reordered(self) -> None:
        self.virtual_size = Size(0, len(self._order) + HEADER)
        self.refresh()
        self._announce()

    def _announce(self) -> None:
        if self.job_id != self._announced:
            self._announced = self.job_id
            self.post_message(self.Selected(self.job_id))

    # Moving

    def _move(self, row: int) -> None:
        row = max(0, min(row, len(self._order) - 1))
        job_id = self._order.at(row)
        if job_id is None:
            return
        before = self.cursor_row
        self._pinned = job_id
        page = max(1, self.size.height - HEADER)
        top = self.scroll_offset.y
        if row < top:
            self.scroll_now(row)
        elif row >= top + page:
            self.scroll_now(row - page + 1)
        for changed in (before, row):
            if changed is not None:
                self.refresh_rows(changed - self.scroll_offset.y + HEADER)
        self._announce()

    def unpin(self) -> None:
        """Give the cursor back to the first line."""
        self._pinned = None
        self.scroll_now(0)
        self.refresh()
        self._announce()

    def action_cursor_up(self) -> None:
        """One row up."""
        self._move((self.cursor_row or 0) - 1)

    def action_cursor_down(self) -> None:
        """One row down."""
        row = self.cursor_row
        self._move(0 if row is None else row + 1)

    def action_page_up(self) -> None:
        """One page up."""
        self._move((self.cursor_row or 0) - max(1, self.size.height - HEADER))

    def action_page_down(self) -> None:
        """One page down."""
        self._move((self.cursor_row or 0) + max(1, self.size.height - HEADER))

    def action_first(self) -> None:
        """To the first row."""
        self._move(0)

    def action_last(self) -> None:
        """To the last row."""
        self._move(len(self._order) - 1)

    def action_open(self) -> None:
        """Show the selected document's stages."""
        if self.job_id is not None:
            self._move(self.cursor_row or 0)
            self.post_message(self.Opened())

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the clicked row."""
        offset = event.get_content_offset(self)
        if offset is not None and offset.y >= HEADER:
            row = offset.y - HEADER + self.scroll_offset.y
            if row < len(self._order):
                self._move(row)
                if event.chain == 2:
                    self.action_open()

    def on_resize(self) -> None:
        """Lay the columns out anew."""
        self._columns = layout(self.line_width)
        self.refresh()

    def on_focus(self) -> None:
        """Draw the cursor as the focused one."""
        self._refresh_cursor()

    def on_blur(self) -> None:
        """Draw the cursor as one that does not have the keys."""
        self._refresh_cursor()

    def _refresh_cursor(self) -> None:
        row = self.cursor_row
        if row is not None:
            self.refresh_rows(row - self.scroll_offset.y + HEADER)

    # Drawing

    def render_line(self, y: int) -> Strip:
        """Draw one line of the widget."""
        self.lines_drawn += 1
        width = self.line_width
        if not self._order:
            return self._empty_line(y, width)
        if y < HEADER:
            return strip(header_row(self._columns, self.base, self.roles), width, self.base)
        job_id = self._order.at(y - HEADER + self.scroll_offset.y)
        if job_id is None:
            return Strip.blank(width, self.base)
        view = self._store.documents[job_id]
        base = self.base + self._cursor_style(view)
        segments = document_row(view, self._columns, base, self.roles, self.glyphs, self.kb.now())
        return strip(segments, width, base)

    def _cursor_style(self, view: DocumentView) -> Style:
        if view.job_id != self.job_id:
            return Style.null()
        return self.roles.cursor if self.has_focus else self.roles.cursor_blurred

    def _empty_line(self, y: int, width: int) -> Strip:
        if self.words:
            texts = (f'No document contains "{self.words}".', "esc shows all documents again.")
        else:
            texts = ("No documents yet.", "Press a to add a file or a folder.")
        top = max(0, (self.size.height - len(texts)) // 2)
        if not top <= y < top + len(texts):
            return Strip.blank(width, self.base)
        text = texts[y - top]
        role = self.roles.text if y == top else self.roles.muted
        line = fit(text.center(width), width, ellipsis=self.glyphs.ellipsis)
        return strip([Segment(line, self.base + role)], width, self.base)
