"""The main screen: connection, totals, documents, stages, log; and what can be done there."""

from __future__ import annotations

import asyncio

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.timer import Timer
from textual.widgets import Input

from kbtui.ingest.jobs import ENDED, SENT, TRANSITIONS, JobState
from kbtui.tui.backend import Backend
from kbtui.tui.bars import ConnectionBar, KeyBar, TotalsBar
from kbtui.tui.documents import DocumentsTable
from kbtui.tui.main_actions import WAITS_TO_CONNECT, MainActions

FLUSH_SECONDS = 1 / 8


class MainScreen(MainActions):
    """Draws from the store at most eight times a second, and only when something has changed."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.flushes = 0
        """How often the screen was brought up to date."""
        self._flush_planned: asyncio.TimerHandle | None = None
        self._last_flush = 0.0
        self._ticker: Timer | None = None

    def compose(self) -> ComposeResult:
        """Everything from the top to the bottom."""
        yield ConnectionBar(self.store, self.backend.server_label, id="connection")
        yield TotalsBar(self.store, id="totals")
        with Container(id="body"):
            yield self.table
            yield self.timeline
        yield self.log_view
        yield Input(placeholder="words in name, state or error", id="filter")
        yield KeyBar(id="keybar")

    def on_mount(self) -> None:
        """Wire the panes up and wait for changes."""
        self.table.focus()
        self._ticker = self.set_interval(1.0, self.tick, pause=True)
        self.store.wake = self._woken
        self.store.take_changes()
        self.table.changed(self.store.documents.keys())
        self.log_view.updated()
        self.describe()

    def on_unmount(self) -> None:
        """Listen no more."""
        self.store.wake = None
        if self._flush_planned is not None:
            self._flush_planned.cancel()

    # From the store to the widgets

    def _woken(self) -> None:
        loop = asyncio.get_running_loop()
        wait = max(0.0, self._last_flush + FLUSH_SECONDS - loop.time())
        self._flush_planned = loop.call_later(wait, self.call_later, self.flush)

    def flush(self) -> None:
        """Bring the widgets up to date with the store."""
        self._last_flush = asyncio.get_running_loop().time()
        changes = self.store.take_changes()
        if not changes:
            return
        self.flushes += 1
        if changes.documents or changes.added:
            self.table.changed(changes.documents)
            self.query_one(TotalsBar).refresh()
            view = self.timeline.view
            if view is not None and view.job_id in changes.documents:
                self.timeline.rebuild()
        if changes.connection:
            self.query_one(ConnectionBar).refresh()
        if changes.log:
            self.log_view.updated()
        if changes.documents or changes.connection:
            self.describe()

    def tick(self) -> None:
        """A second has passed: the clocks."""
        if self.store.connection.retry_at is not None:
            self.query_one(ConnectionBar).refresh()
        self.table.tick()
        view = self.timeline.view
        if view is not None and view.state in SENT:
            self.timeline.rebuild()
        self._set_ticker()

    def _set_ticker(self) -> None:
        totals = self.store.totals
        busy = self.store.connection.retry_at is not None or any(totals[state] for state in SENT)
        if self._ticker is not None:
            if busy:
                self._ticker.resume()
            else:
                self._ticker.pause()

    def describe(self) -> None:
        """Titles and keys follow what is selected."""
        self._set_ticker()
        everything, shown = len(self.store.documents), self.table.shown
        row = self.table.cursor_row
        where = f"{row + 1} of {shown}" if row is not None else ""
        if self.table.words:
            where += f" {self.kb.glyphs.dot} filtered from {everything}"
        parts = ["Documents", *([where] if where else [])]
        self.table.border_title = f" {self.kb.glyphs.dot} ".join(parts)
        self.query_one(KeyBar).show(self._keys())

    def _keys(self) -> list[tuple[str, str, str]]:
        view = self.selected
        wanted = ["add", "search"]
        if self.store.connection.state in WAITS_TO_CONNECT:
            wanted.append("reconnect")
        if view is not None and view.state not in ENDED:
            wanted.append("cancel")
        if view is not None and JobState.QUEUED in TRANSITIONS[view.state]:
            wanted.append("retry")
        if self.store.documents:
            wanted.append("filter")
        if self.focused is self.log_view:
            wanted.append("pause_log")
        wanted.append("toggle_log")
        return [
            *map(self.kb.key_entry, wanted[:5]),
            *map(self.kb.key_entry, ("show_help", "ask_quit")),
        ]

    @on(DocumentsTable.Selected)
    def _selected(self, event: DocumentsTable.Selected) -> None:
        self.timeline.show(event.job_id)
        self.describe()

    @on(DocumentsTable.Opened)
    def _opened(self) -> None:
        self.remove_class("log-max")
        self.add_class("stages")
        self.call_after_refresh(self.timeline.focus)

    def on_descendant_focus(self) -> None:
        """The keys that are shown depend on the pane."""
        if self.is_mounted and self._ticker is not None:
            self.describe()
