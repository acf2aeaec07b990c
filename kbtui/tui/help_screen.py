"""Help: every key, and what the signs mean."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from kbtui.ingest.jobs import JobState
from kbtui.tui.actions import ALL, FIXED
from kbtui.tui.lines import Line, TextPane
from kbtui.tui.text import fit, wrap

GROUPS = ("Documents", "Moving", "Log", "Connection", "General")

MEANING: dict[JobState, str] = {
    JobState.QUEUED: "waits for its turn",
    JobState.SUBMITTING: "is being sent to the server",
    JobState.RUNNING: "the server works on it",
    JobState.INTERRUPTED: "the connection was lost while it ran",
    JobState.RECONCILING: "asking the server what became of it",
    JobState.COMPLETED: "stored: it can be searched",
    JobState.FAILED: "the server or the file said no; see the reason",
    JobState.UNKNOWN: "the server may or may not have it",
    JobState.SKIPPED: "not sent, for the reason shown",
    JobState.CANCELLED: "stopped by you",
    JobState.HELD: "kept back until you release it",
}


class HelpPane(TextPane):
    """The text of the help, to scroll through."""

    def on_mount(self) -> None:
        """Name the pane."""
        self.border_title = "Help"
        self.border_subtitle = "esc closes"

    def build(self) -> list[Line]:
        """The keys by group, then the signs."""
        base, role, width = self.base, self.roles, max(24, self.line_width)
        entries = [(self.kb.keys_of(item), item.description, item.group) for item in ALL]
        entries += FIXED
        left = max(cell_len(keys) for keys, _, _ in entries) + 2
        lines: list[Line] = []
        for name in GROUPS:
            lines.append([Segment(name, base + role.title)])
            for keys, description, group in entries:
                if group == name and keys:
                    lines += self._entry(keys, left, description, base + role.key)
            lines.append([])
        lines.append([Segment("Signs", base + role.title)])
        for state in JobState:
            look = self.glyphs.job(state)
            sign = f"{look.glyph} {look.word}"
            lines += self._entry(sign, 15, MEANING[state], base + role.of(look.role))
        tilde = "A stage that begins with ~ is inferred: the server does not say whose it is."
        lines += [[], *([Segment(text, base + role.muted)] for text in wrap(tilde, width))]
        return lines

    def _entry(self, head: str, left: int, text: str, style: Style) -> list[Line]:
        room = max(10, self.line_width - left - 2)
        plain = self.base + self.roles.text
        return [
            [Segment("  " + fit(head if number == 0 else "", left), style), Segment(part, plain)]
            for number, part in enumerate(wrap(text, room))
        ]


class HelpScreen(ModalScreen[None]):
    """The keys and the signs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "dismiss", show=False)
    ]

    def compose(self) -> ComposeResult:
        """The pane."""
        yield HelpPane(id="keys")
