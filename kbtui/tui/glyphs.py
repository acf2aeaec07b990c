"""How states look: a glyph, a word and a colour role each, in Unicode or in ASCII."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from kbtui.ingest.jobs import JobState


class Look(NamedTuple):
    """A glyph of one cell, a word, and the colour role (see `roles.Roles`)."""

    glyph: str
    word: str
    role: str


_S = JobState

_JOBS: Final[dict[JobState, tuple[str, str, str]]] = {
    # state: (Unicode glyph, ASCII glyph, role)
    _S.QUEUED: ("○", ".", "muted"),
    _S.SUBMITTING: ("◔", ">", "active"),
    _S.RUNNING: ("●", "*", "active"),
    _S.INTERRUPTED: ("◌", "!", "warning"),
    _S.RECONCILING: ("◑", "~", "warning"),
    _S.COMPLETED: ("✓", "+", "success"),
    _S.FAILED: ("✗", "x", "error"),
    _S.UNKNOWN: ("?", "?", "warning"),
    _S.SKIPPED: ("»", "-", "muted"),
    _S.CANCELLED: ("⊘", "/", "muted"),
    _S.HELD: ("▪", "=", "muted"),
}

_CONNECTION: Final[dict[str, tuple[str, str, str]]] = {
    "connected": ("●", "*", "success"),
    "draining": ("◐", "~", "warning"),
    "connecting": ("◌", ">", "active"),
    "reconnecting": ("◌", "!", "warning"),
    "closing": ("◐", "~", "muted"),
    "closed": ("○", "o", "muted"),
    "disconnected": ("○", "o", "muted"),
    "failed": ("✗", "x", "error"),
}

LEVELS: Final[dict[str, tuple[str, str]]] = {
    "debug": ("debug", "muted"),
    "info": ("info", "info"),
    "warning": ("warn", "warning"),
    "error": ("error", "error"),
}
"""A log level's word (at most five letters) and its colour role."""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Every character that is drawn and is not text."""

    ascii: bool = False

    @property
    def ellipsis(self) -> str:
        """Stands where text was cut; one cell."""
        return "~" if self.ascii else "…"

    @property
    def dot(self) -> str:
        """Stands between two facts on one line."""
        return "-" if self.ascii else "·"

    @property
    def bar(self) -> tuple[str, str, str]:
        """A progress bar's full, half and empty cell."""
        return ("#", "#", ".") if self.ascii else ("━", "╸", "─")

    @property
    def down(self) -> str:
        """There is more below."""
        return "v" if self.ascii else "↓"

    def job(self, state: JobState) -> Look:
        """How a job's state looks."""
        glyph, plain, role = _JOBS[state]
        return Look(plain if self.ascii else glyph, state.value, role)

    def connection(self, state: str) -> Look:
        """How a connection state looks; one that we do not know is shown by its word."""
        glyph, plain, role = _CONNECTION.get(state, ("○", "o", "muted"))
        return Look(plain if self.ascii else glyph, state, role)
