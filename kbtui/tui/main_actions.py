"""What can be done on the main screen: the methods behind the registry's actions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Input

from kbtui.connection import ConnectionState, Mode
from kbtui.ingest.jobs import SENT, JobState
from kbtui.state.store import Store
from kbtui.state.text import plain
from kbtui.state.views import DocumentView
from kbtui.tui.actions import GENERAL, bindings
from kbtui.tui.add_screen import AddScreen
from kbtui.tui.backend import Backend
from kbtui.tui.dialogs import QuestionScreen, quit_question
from kbtui.tui.documents import DocumentsTable
from kbtui.tui.help_screen import HelpScreen
from kbtui.tui.lines import TextPane
from kbtui.tui.logview import LogView
from kbtui.tui.search_screen import SearchScreen
from kbtui.tui.text import count, duration
from kbtui.tui.timeline import Timeline

if TYPE_CHECKING:
    from kbtui.tui.app import KbApp

WAITS_TO_CONNECT = frozenset(
    {ConnectionState.CONNECTING, ConnectionState.RECONNECTING, ConnectionState.FAILED}
)

_Verb = Callable[[str], Awaitable[str | None]]


class MainActions(Screen[None]):
    """Intents go from here to the backend; nothing here draws."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(GENERAL)]

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self.store: Store = backend.store
        self.table = DocumentsTable(self.store, id="documents")
        self.timeline = Timeline(self.store, id="timeline")
        self.log_view = LogView(self.store.log, id="log")

    @property
    def kb(self) -> KbApp:
        """The app, by its type."""
        from kbtui.tui.app import KbApp

        app = self.app
        assert isinstance(app, KbApp)
        return app

    @property
    def selected(self) -> DocumentView | None:
        """The document under the cursor."""
        job_id = self.table.job_id
        return self.store.documents.get(job_id) if job_id is not None else None

    def describe(self) -> None:
        """Bring titles and keys up to date with what is selected."""
        raise NotImplementedError

    @work
    async def action_add(self) -> None:
        """Ask for a path and queue it."""
        queued = await self.app.push_screen_wait(AddScreen(self.backend))
        if queued:
            self.kb.say(f"{count(queued, 'document')} queued.")

    def action_search(self) -> None:
        """Open the search."""
        self.app.push_screen(SearchScreen(self.backend))

    def action_show_help(self) -> None:
        """Open the help."""
        self.app.push_screen(HelpScreen())

    def action_palette(self) -> None:
        """Open the command palette."""
        self.app.action_command_palette()

    def action_theme(self) -> None:
        """Choose a theme."""
        self.app.action_change_theme()

    def action_filter(self) -> None:
        """Type words that the documents must contain."""
        self.remove_class("log-max")
        self.add_class("filtering")
        self.query_one("#filter").focus()

    @on(Input.Changed, "#filter")
    def _filter_typed(self, event: Input.Changed) -> None:
        self.table.only(event.value.strip())
        self.describe()

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self.set_class(bool(self.table.words), "filtering")
        self.table.focus()

    def action_back(self) -> None:
        """One step back: out of a selection, a filter, a pane; then the cursor is given back."""
        field = self.query_one("#filter", Input)
        if self.selections:
            self.clear_selection()
        elif self.has_class("filtering"):
            field.value = ""
            self.remove_class("filtering")
            self.table.focus()
        elif self.focused is not self.table or self.has_class("log-max", "stages"):
            self.remove_class("log-max", "stages")
            self.call_after_refresh(self.table.focus)
        elif self.table.pinned:
            self.table.unpin()

    def action_toggle_log(self) -> None:
        """Normal, maximised, hidden, and round again."""
        if self.has_class("log-max"):
            self.remove_class("log-max")
            self.add_class("log-hidden")
            self.table.focus()
        elif self.has_class("log-hidden"):
            self.remove_class("log-hidden")
        else:
            self.add_class("log-max")
            self.log_view.focus()

    def action_pause_log(self) -> None:
        """Pause or follow."""
        self.log_view.toggle_pause()

    def action_reconnect(self) -> None:
        """Try now."""
        if self.store.connection.state in WAITS_TO_CONNECT:
            self.backend.reconnect_now()
        else:
            self.kb.say(f"The connection is {self.store.connection.state}: nothing to retry.")

    @work
    async def action_cancel(self) -> None:
        """Cancel the selected document, after a question if it runs."""
        view = self.selected
        if view is None:
            self.kb.say("No document is selected.")
            return
        if view.state in SENT:
            elapsed = duration(view.elapsed(self.kb.now()))
            question = f'"{view.name}" has been running for {elapsed}. Its work so far is lost.'
            asked = QuestionScreen("Cancel this document?", question, "Cancel it", "Keep it")
            if not await self.app.push_screen_wait(asked):
                return
        await self._attempt([view], self.backend.cancel, "Cancelled")

    @work
    async def action_retry(self) -> None:
        """Send the selected document again."""
        view = self.selected
        if view is None:
            self.kb.say("No document is selected.")
            return
        if view.state is JobState.UNKNOWN and self.store.connection.mode is not Mode.NATIVE:
            question = f'"{view.name}" was sent and its answer was lost. This may store it twice.'
            asked = QuestionScreen("Send it again?", question, "Send it", "Leave it")
            if not await self.app.push_screen_wait(asked):
                return
        await self._attempt([view], self.backend.retry, "Queued again")

    @work
    async def action_retry_all(self) -> None:
        """Send every failed document again."""
        failed = [v for v in self.store.documents.values() if v.state is JobState.FAILED]
        if not failed:
            self.kb.say("No document has failed.")
            return
        await self._attempt(failed, self.backend.retry, "Queued again")

    async def _attempt(self, views: list[DocumentView], do: _Verb, done: str) -> None:
        refused: list[str] = []
        for view in views:
            try:
                refusal = await do(view.job_id)
            except Exception as error:  # noqa: BLE001 - shown to the person
                refusal = str(error) or type(error).__name__
            if refusal is not None:
                refused.append(refusal)
        good = len(views) - len(refused)
        if good:
            self.kb.say(f"{done}: {views[0].name if len(views) == 1 else count(good, 'document')}.")
        if refused:
            self.kb.say(plain(refused[0], 300), severity="warning")

    def action_copy(self) -> None:
        """Copy the selection, or what the focused pane stands on."""
        text = self.get_selected_text()
        if not text and isinstance(self.focused, TextPane):
            text = self.focused.copy_text()
        elif not text and self.focused is self.log_view:
            text = self.log_view.current_line()
        elif not text and self.selected is not None:
            view = self.selected
            text = "  ".join(part for part in (view.path, str(view.state), view.error) if part)
        if text:
            self.app.copy_to_clipboard(text)
            self.kb.say(f"Copied {count(len(text.splitlines()), 'line')}.")
        else:
            self.kb.say("There is nothing to copy here.")

    @work(exclusive=True, group="quit")
    async def action_ask_quit(self) -> None:
        """Quit, after a question if work is unfinished."""
        unfinished = self.backend.unfinished
        if not unfinished or await self.app.push_screen_wait(quit_question(unfinished)):
            self.app.exit()
