"""The dialog that adds a file or a folder, with completion of the path."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from kbtui.state.text import plain
from kbtui.tui.backend import Backend
from kbtui.tui.paths import Candidate, common_start, complete, expand
from kbtui.tui.text import count

MOST_REASONS = 5


class AddScreen(ModalScreen[int]):
    """Asks for a path; the result is how many documents were queued."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", show=False),
        Binding("down", "choose(1)", show=False, priority=True),
        Binding("up", "choose(-1)", show=False, priority=True),
        Binding("tab", "complete", show=False, priority=True),
    ]

    def __init__(self, backend: Backend, start: str = "") -> None:
        super().__init__()
        self._backend = backend
        self._start = start
        self._candidates: list[Candidate] = []
        self._queued = 0

    def compose(self) -> ComposeResult:
        """The dialog."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Add a file or a folder"
            dialog.border_subtitle = "tab completes  enter adds"
            for field, hint in (
                ("Path", "a file, or a folder for all its documents"),
                ("Domain", "optional"),
                ("Name", "optional: for a single file"),
            ):
                with Horizontal(classes="field"):
                    yield Label(field, classes="name", markup=False)
                    yield Input(
                        self._start if field == "Path" else "",
                        placeholder=hint,
                        id=field.lower(),
                        select_on_focus=False,
                    )
            yield Static("", classes="problem", id="problem", markup=False)
            yield OptionList(id="candidates", markup=False)

    def on_mount(self) -> None:
        """Type first; the list is only shown."""
        candidates = self.query_one(OptionList)
        candidates.can_focus = False
        self.query_one("#path", Input).focus()
        self._complete(self._start)

    @property
    def _path(self) -> Input:
        return self.query_one("#path", Input)

    @on(Input.Changed, "#path")
    def _typed(self, event: Input.Changed) -> None:
        self._complete(event.value)

    @work(exclusive=True, group="completion")
    async def _complete(self, typed: str) -> None:
        # In a thread: a folder on a network drive may take its time.
        candidates = await asyncio.to_thread(complete, typed)
        # The screen may have been left meanwhile, and its parts with it.
        if not self.is_current or typed != self._path.value:
            return
        self._candidates = candidates
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(Content(plain(item.name))) for item in candidates)
        options.highlighted = None

    def action_choose(self, step: int) -> None:
        """Move among the candidates."""
        options = self.query_one(OptionList)
        if not self._candidates:
            return
        at = options.highlighted
        options.highlighted = (
            (0 if step > 0 else len(self._candidates) - 1)
            if at is None
            else (at + step) % len(self._candidates)
        )

    def action_complete(self) -> None:
        """Take the highlighted candidate, or as much as all have in common; else the next field."""
        if self.focused is not self._path:
            self.focus_next("Input")
            return
        at = self.query_one(OptionList).highlighted
        typed = self._candidates[at].typed if at is not None else common_start(self._candidates)
        if len(typed) > len(self._path.value) or at is not None:
            self._set_path(typed)
        else:
            self.focus_next("Input")

    def _set_path(self, typed: str) -> None:
        self._path.value = typed
        self._path.cursor_position = len(typed)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self._set_path(self._candidates[event.option_index].typed)

    def action_close(self) -> None:
        """Leave."""
        self.dismiss(self._queued)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        at = self.query_one(OptionList).highlighted
        if at is not None and self._candidates[at].typed != self._path.value:
            self._set_path(self._candidates[at].typed)
            return
        self._add()

    @work(exclusive=True, group="adding")
    async def _add(self) -> None:
        typed = self._path.value
        if not typed.strip():
            self._say("Type the path of a file or a folder.")
            return
        path = expand(typed)
        if not await asyncio.to_thread(path.exists):
            self._say(f'There is no file or folder "{plain(str(path), 200)}". Check the path.')
            return
        self._say("Adding")
        try:
            report = await self._backend.add(
                [path],
                domain=self.query_one("#domain", Input).value.strip() or None,
                name=self.query_one("#name", Input).value.strip() or None,
            )
        except Exception as error:  # noqa: BLE001 - shown to the person, in the dialog
            self._say(plain(str(error), 300))
            return
        self._queued += report.queued
        if not report.refused:
            self.dismiss(self._queued)
            return
        reasons = [plain(f"{where}: {why}", 200) for where, why in report.refused[:MOST_REASONS]]
        rest = len(report.refused) - len(reasons)
        summary = f"{count(report.queued, 'document')} queued, {len(report.refused)} refused."
        more = [f"and {rest} more; the log has them."] if rest > 0 else []
        self._say("\n".join([summary, *reasons, *more]))

    def _say(self, text: str) -> None:
        self.query_one("#problem", Static).update(text)
