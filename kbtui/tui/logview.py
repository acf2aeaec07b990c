"""The log: follows its end, stands still under a reader, survives what the buffer drops."""

from __future__ import annotations

import time
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.selection import Selection
from textual.strip import Strip

from kbtui.state.log import LogBuffer, LogLine
from kbtui.tui.actions import SIDEWAYS, bindings
from kbtui.tui.glyphs import LEVELS
from kbtui.tui.lines import LinesPane
from kbtui.tui.text import count, fit, strip

SIDESTEP = 20
NAME_WIDTH = 24


class LogView(LinesPane):
    """The newest lines of the buffer.

    Lines are known by their sequence numbers, never by their place: a reader who has scrolled up,
    the cursor and the mouse's selection all stay on their lines while the buffer drops others.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(SIDEWAYS)]
    ALLOW_SELECT = True

    def __init__(self, buffer: LogBuffer, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._buffer = buffer
        self._first = 0
        self._cursor: int | None = None
        self._shift = 0
        self._seen = 0
        self.paused = False
        """Stands still although the end is in sight: the pause key was pressed."""
        self.lines_drawn = 0
        """How many lines were drawn so far: what a test of the drawing's cost looks at."""

    # Following and standing still

    @property
    def following(self) -> bool:
        """Whether new lines are shown as they come."""
        return self._cursor is None and not self.paused

    @property
    def unseen(self) -> int:
        """How many lines have come since the reader stopped following."""
        return 0 if self.following else max(0, self._buffer.end - self._seen)

    def updated(self) -> None:
        """The buffer has changed: draw what is seen of that."""
        dropped = self._buffer.first - self._first
        self._first = self._buffer.first
        self.virtual_size = Size(0, len(self._buffer))
        if self.following:
            self._seen = self._buffer.end
            self.scroll_now(self.max_scroll_y)
            self.refresh()
        elif dropped:
            self.scroll_now(max(0, self.scroll_offset.y - dropped))
            self.refresh()
        elif len(self._buffer) <= self.size.height:
            self.refresh()
        self._describe()

    def _describe(self) -> None:
        parts = []
        if self.unseen:
            key = self.kb.key_of("last")
            parts.append(f"{count(self.unseen, 'new line')} {self.glyphs.down} {key}")
        if self.paused:
            parts.append("paused")
        else:
            parts.append("following" if self.following else "scrolled")
        if self._buffer.dropped:
            parts.append(f"{self._buffer.dropped} older lines dropped")
        self.border_title = f" {self.glyphs.dot} ".join(["Log", *parts])

    def toggle_pause(self) -> None:
        """Stand still, or follow the end again."""
        if self.following:
            self.paused = True
            self._seen = self._buffer.end
            self._describe()
        else:
            self.action_last()

    def _read_from(self, sequence: int) -> None:
        """The cursor goes to a line, and with it the reader."""
        if not len(self._buffer):
            return
        if self.following:
            self._seen = self._buffer.end
        sequence = max(self._buffer.first, min(sequence, self._buffer.end - 1))
        self._cursor = sequence
        row, top, page = sequence - self._first, self.scroll_offset.y, max(1, self.size.height)
        if row < top:
            self.scroll_now(row)
        elif row >= top + page:
            self.scroll_now(row - page + 1)
        self.refresh()
        self._describe()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """A wheel or a scrollbar was used: reading begins above the end, and ends at it."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and self._cursor is None and new_value < self.max_scroll_y:
            if not self.paused:
                self._seen = self._buffer.end
            self._cursor = self._first + round(new_value)
            self._describe()
        elif self._cursor is not None and new_value >= self.max_scroll_y > 0 and not self.has_focus:
            self._cursor = None
            self._describe()

    # Moving

    def _position(self) -> int:
        return self._buffer.end - 1 if self._cursor is None else self._cursor

    def action_cursor_up(self) -> None:
        """One line up."""
        self._read_from(self._position() - (0 if self._cursor is None else 1))

    def action_cursor_down(self) -> None:
        """One line down; below the last one, follow again."""
        if self._position() >= self._buffer.end - 1:
            self.action_last()
        else:
            self._read_from(self._position() + 1)

    def action_page_up(self) -> None:
        """One page up."""
        self._read_from(self._position() - self.size.height)

    def action_page_down(self) -> None:
        """One page down; at the end, follow again."""
        if self._position() + self.size.height >= self._buffer.end:
            self.action_last()
        else:
            self._read_from(self._position() + self.size.height)

    def action_first(self) -> None:
        """To the oldest line."""
        self._read_from(self._buffer.first)

    def action_last(self) -> None:
        """To the end, and follow it."""
        self._cursor = None
        self.paused = False
        self._shift = 0
        self.updated()

    def action_left(self) -> None:
        """Long lines: back."""
        self._shift = max(0, self._shift - SIDESTEP)
        self.refresh()

    def action_right(self) -> None:
        """Long lines: further."""
        self._shift = min(980, self._shift + SIDESTEP)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the clicked line."""
        offset = event.get_content_offset(self)
        if offset is not None and self.text_selection is None:
            row = offset.y + self.scroll_offset.y
            if row < len(self._buffer):
                self._read_from(self._first + row)

    def on_resize(self) -> None:
        """Keep the end in sight while following."""
        self.updated()
        self.refresh()

    # Copying

    def current_line(self) -> str | None:
        """The line under the cursor, or the newest one, as text."""
        line = self._buffer.line(self._position())
        return None if line is None else self._text(line)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text that the mouse has selected; rows are sequence numbers."""
        start = self._buffer.first if selection.start is None else selection.start.y
        end = self._buffer.end - 1 if selection.end is None else selection.end.y
        texts = []
        for sequence in range(max(start, self._buffer.first), min(end, self._buffer.end - 1) + 1):
            line, span = self._buffer.line(sequence), selection.get_span(sequence)
            if line is not None and span is not None:
                text = self._text(line)
                texts.append(text[span[0] :] if span[1] == -1 else text[span[0] : span[1]])
        return ("\n".join(texts), "\n") if texts else None

    def selection_updated(self, selection: Selection | None) -> None:  # noqa: ARG002
        """Draw the selection."""
        self.refresh()

    # Drawing

    def _prefix(self, line: LogLine) -> tuple[str, str, str]:
        width = self.line_width
        clock = time.strftime("%H:%M:%S ", time.localtime(line.at)) if width >= 60 else ""
        word = fit(LEVELS.get(line.level, (line.level, ""))[0], 5) + " "
        room = NAME_WIDTH if width >= 100 else width // 4
        source = line.source or ""
        if cell_len(source) > room:
            source = fit(source, room, ellipsis=self.glyphs.ellipsis)
        return clock, word, source + "  " if source else ""

    def _text(self, line: LogLine) -> str:
        return "".join(self._prefix(line)) + line.text

    def render_line(self, y: int) -> Strip:
        """Draw one line of the widget."""
        self.lines_drawn += 1
        width, base = self.line_width, self.base
        sequence = self._first + self.scroll_offset.y + y
        line = self._buffer.line(sequence)
        if line is None:
            return self._blank(y, width)
        if sequence == self._cursor and self.has_focus:
            base += self.roles.cursor
        role = self.roles.of(LEVELS.get(line.level, ("", "info"))[1])
        clock, word, source = self._prefix(line)
        text_style = role if line.level != "info" else self.roles.text
        segments = [
            Segment(clock, base + self.roles.muted),
            Segment(word, base + role),
            Segment(source, base + (role if line.level == "debug" else self.roles.accent)),
        ]
        room = max(1, width - cell_len(clock + word + source))
        text = line.text[self._shift :]
        shown = fit(text, min(room, cell_len(text[: room * 4])), ellipsis=self.glyphs.ellipsis)
        segments.append(Segment(shown, base + text_style))
        drawn = strip([item for item in segments if item.text], width, base)
        return self._selected(drawn, sequence).apply_offsets(0, sequence)

    def _selected(self, drawn: Strip, sequence: int) -> Strip:
        selection = self.text_selection
        span = None if selection is None else selection.get_span(sequence)
        if span is None:
            return drawn
        start, end = span[0], drawn.cell_length if span[1] == -1 else span[1]
        style: Style = self.screen.get_component_rich_style("screen--selection")
        before, middle, after = drawn.divide([start, end, drawn.cell_length])
        return Strip.join([before, middle.apply_style(style), after])

    def _blank(self, y: int, width: int) -> Strip:
        if y == 0 and not len(self._buffer):
            text = "The log is empty: nothing has happened yet."
            return strip([Segment(text, self.base + self.roles.muted)], width, self.base)
        return Strip.blank(width, self.base)
