"""The base of the panes that draw their lines themselves: scrolling, moving, roles."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from kbtui.tui.actions import MOVES, bindings
from kbtui.tui.glyphs import Glyphs
from kbtui.tui.text import strip
from kbtui.tui.themed import Themed


class LinesPane(Themed, ScrollView, can_focus=True):
    """A pane of lines, drawn line by line when Textual asks for one.

    Subclasses set `virtual_size` and write `render_line`; they ask for single lines to be drawn
    again by `refresh_rows`, so a change costs what is visible of it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(MOVES)]
    ALLOW_MAXIMIZE = False

    @property
    def glyphs(self) -> Glyphs:
        """The characters to draw with."""
        return self.kb.glyphs

    @property
    def line_width(self) -> int:
        """The cells of a line: what the scrollbar leaves."""
        return max(0, self.size.width - self.scrollbar_size_vertical)

    @property
    def base(self) -> Style:
        """The pane's own colours; every segment's style is added to it."""
        return self.rich_style

    def on_mount(self) -> None:
        """Begin to listen for another theme."""
        self._refresh_scrollbars()

    def refresh_rows(self, y: int, count: int = 1) -> None:
        """Draw the widget's own lines from `y` on again (0 is the top line on screen)."""
        self.refresh(Region(0, y, self.size.width, count))

    def scroll_now(self, y: int) -> None:
        """Scroll there at once, without an animation."""
        self.scroll_to(y=y, animate=False, immediate=True, force=True)


Line = list[Segment]


class TextPane(LinesPane):
    """A pane whose lines are all made in advance: for texts of some hundred lines at most."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._lines: list[Line] = []
        self.held = False
        """A person has scrolled: the pane stays where it is."""

    def build(self) -> list[Line]:
        """The lines, for the width and the colours of now."""
        raise NotImplementedError

    def rebuild(self) -> None:
        """Make the lines anew and draw them."""
        self._lines = self.build()
        self.virtual_size = Size(0, len(self._lines))
        self.refresh()

    def on_mount(self) -> None:
        """Make the first lines."""
        self.rebuild()

    def restyled(self) -> None:
        """Make the lines with the new colours."""
        self.rebuild()

    def on_resize(self, _event: events.Resize) -> None:
        """Wrap to the new width."""
        self.rebuild()

    def copy_text(self) -> str:
        """What the copy key takes: the whole pane as text."""
        lines = ("".join(segment.text for segment in line).rstrip() for line in self._lines)
        return "\n".join(lines)

    def scroll_person(self, y: int) -> None:
        """Scroll because a person wants it."""
        self.held = True
        self.scroll_now(max(0, min(y, self.max_scroll_y)))

    def on_mouse_scroll_up(self) -> None:
        """A person reads: stay."""
        self.held = True

    def on_mouse_scroll_down(self) -> None:
        """A person reads: stay."""
        self.held = True

    def action_cursor_up(self) -> None:
        """One line up."""
        self.scroll_person(self.scroll_offset.y - 1)

    def action_cursor_down(self) -> None:
        """One line down."""
        self.scroll_person(self.scroll_offset.y + 1)

    def action_page_up(self) -> None:
        """One page up."""
        self.scroll_person(self.scroll_offset.y - self.size.height)

    def action_page_down(self) -> None:
        """One page down."""
        self.scroll_person(self.scroll_offset.y + self.size.height)

    def action_first(self) -> None:
        """To the first line."""
        self.scroll_person(0)

    def action_last(self) -> None:
        """To the last line."""
        self.scroll_person(self.max_scroll_y)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the widget."""
        index = y + self.scroll_offset.y
        if index >= len(self._lines):
            return Strip.blank(self.line_width, self.base)
        return strip(self._lines[index], self.line_width, self.base)
