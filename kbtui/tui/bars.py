"""The lines at the top and at the bottom: the connection, the totals, the keys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual import events

from kbtui.connection import ConnectionState
from kbtui.ingest.jobs import ENDED, JobState
from kbtui.state.store import Store
from kbtui.tui.text import bar, count, duration, fit, latency
from kbtui.tui.themed import Themed

MOST_KEYS = 7
METER = 12


class Bar(Themed):
    """One line of text pieces, cut to the width there is."""

    def pieces(self, pieces: Sequence[tuple[str, Style]], gap: str = "  ") -> Text:
        """Put the pieces side by side as far as they fit; the last one is cut."""
        text = Text(no_wrap=True, overflow="crop", end="")
        room = self.size.width
        for content, style in pieces:
            if not content:
                continue
            lead = gap if text else ""
            if room - cell_len(lead) < 2:
                break
            size = min(cell_len(content), room - cell_len(lead))
            text.append(lead)
            text.append(fit(content, size, ellipsis=self.kb.glyphs.ellipsis), style)
            room -= cell_len(lead) + size
        return text


class ConnectionBar(Bar):
    """Is it connected, to what, how well; if not, why, and when is the next try."""

    def __init__(self, store: Store, label: str, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._store = store
        self._label = label

    def render(self) -> Text:
        """The line."""
        view, role, glyphs = self._store.connection, self.roles, self.kb.glyphs
        look = glyphs.connection(view.state)
        state = (f"{look.glyph} {look.word}", role.of(look.role) + Style(bold=True))
        server = (self._label, role.text)
        if view.state is ConnectionState.CONNECTED:
            facts = [str(view.mode) if view.mode else "", latency(view.latency)
                     if view.latency is not None else ""]  # fmt: skip
            rest = f" {glyphs.dot} ".join(fact for fact in facts if fact)
            address = view.url if view.url and view.url != self._label else ""
            return self.pieces([state, server, (rest, role.muted), (address, role.muted)])
        wait = ""
        if view.retry_at is not None:
            seconds = max(0.0, view.retry_at - self.kb.now())
            wait = f"next try in {duration(seconds)}" if seconds >= 1 else "trying now"
        if view.attempt > 1:
            wait += f"{' ' if wait else ''}(attempt {view.attempt})"
        reason = view.reason or ""
        if self.size.width < 70:
            return self.pieces([state, (wait, role.warning), (reason, role.text), server])
        return self.pieces([state, server, (wait, role.warning), (reason, role.text)])


class TotalsBar(Bar):
    """How many documents stand where, and how much is done."""

    _ORDER = (
        JobState.RUNNING,
        JobState.SUBMITTING,
        JobState.INTERRUPTED,
        JobState.RECONCILING,
        JobState.FAILED,
        JobState.UNKNOWN,
        JobState.QUEUED,
        JobState.HELD,
        JobState.COMPLETED,
        JobState.SKIPPED,
        JobState.CANCELLED,
    )

    def __init__(self, store: Store, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._store = store

    def render(self) -> Text:
        """The line: words as far as there is room for them, the numbers always."""
        role, glyphs, totals = self.roles, self.kb.glyphs, self._store.totals
        everything = sum(totals.values())
        if not everything:
            return self.pieces([("No documents yet", role.muted)])
        ended = sum(totals[state] for state in ENDED)
        looks = [(glyphs.job(state), totals[state]) for state in self._ORDER if totals[state]]
        line = Text()
        for amount, worded, gap in self._variants(ended, everything, len(looks)):
            line = Text(no_wrap=True, overflow="crop", end="")
            line.append(amount, role.title)
            for number, (look, total) in enumerate(looks):
                word = f" {look.word}" if number < worded else ""
                line.append(gap)
                line.append(f"{look.glyph} {total}{word}", role.of(look.role))
            if line.cell_len <= self.size.width:
                break
        room = self.size.width - line.cell_len - METER
        if room >= 2:
            bad = (totals[JobState.FAILED] + totals[JobState.UNKNOWN]) / everything
            done, missing = bar(ended / everything, METER, *glyphs.bar)
            reds = min(len(done), math.ceil(bad * METER))
            line.append(" " * room)
            line.append(done[: len(done) - reds], role.success)
            line.append(done[len(done) - reds :], role.error)
            line.append(missing, role.faint)
        return line

    def _variants(self, ended: int, everything: int, states: int) -> Iterator[tuple[str, int, str]]:
        """(amount, how many states have their word, gap), the roomiest first."""
        short = f"{ended}/{everything}"
        yield f"{ended} of {count(everything, 'document')}", states, "  "
        for worded in range(states, -1, -1):
            yield short, worded, "  "
        yield short, 0, " "


class KeyBar(Bar):
    """At most seven keys, and no more than fit."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._keys: Sequence[tuple[str, str, str]] = ()
        self._spans: list[tuple[int, int, str]] = []

    def show(self, keys: Sequence[tuple[str, str, str]]) -> None:
        """(key, label, action) of what can be done now, the most important first."""
        if keys != self._keys:
            self._keys = keys
            self.refresh()

    def render(self) -> Text:
        """The line; what does not fit is left out, never cut."""
        text = Text(no_wrap=True, overflow="crop", end="")
        self._spans = []
        for key, label, action in self._fitting():
            text.append("  " if text else "")
            start = text.cell_len
            text.append(key, self.roles.key)
            text.append(f" {label}", self.roles.muted)
            self._spans.append((start, text.cell_len, action))
        return text

    def _fitting(self) -> list[tuple[str, str, str]]:
        # The last two, help and quit, are there whatever else has to go.
        chosen = [*self._keys[-2:], *self._keys[: MOST_KEYS - 2][: max(0, len(self._keys) - 2)]]
        room, kept = self.size.width, set[tuple[str, str, str]]()
        for entry in chosen:
            need = cell_len(f"{entry[0]} {entry[1]}") + (2 if kept else 0)
            if need <= room:
                kept.add(entry)
                room -= need
        return [entry for entry in self._keys if entry in kept]

    async def on_click(self, event: events.Click) -> None:
        """A key can be clicked."""
        offset = event.get_content_offset(self)
        for start, end, action in self._spans:
            if offset is not None and start <= offset.x < end and action:
                await self.run_action(action)
