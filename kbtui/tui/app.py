"""The Textual app: themes, keys, the palette; the screens do the rest."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from rich.segment import Segments
from rich.traceback import Traceback
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.screen import Screen
from textual.widgets import Input

from kbtui.tui.actions import GENERAL, Action, action
from kbtui.tui.backend import Backend
from kbtui.tui.glyphs import Glyphs
from kbtui.tui.main_screen import MainScreen
from kbtui.tui.roles import DARK, LIGHT

Severity: TypeAlias = Literal["information", "warning", "error"]

REMOTE_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)

SECOND_PRESS = 2.0
"""Seconds within which a second Ctrl+C quits."""


class ActionProvider(Provider):
    """The command palette's commands: the registry's actions."""

    def _run(self, item: Action) -> Callable[[], object]:
        screen = self.screen
        return lambda: screen.call_later(screen.run_action, item.id)

    def _items(self) -> list[Action]:
        return [item for item in GENERAL if item.palette] if isinstance(
            self.screen, MainScreen
        ) else []  # fmt: skip

    async def discover(self) -> Hits:
        """Every action, before anything is typed."""
        for item in self._items():
            yield DiscoveryHit(item.label, self._run(item), help=item.description)

    async def search(self, query: str) -> Hits:
        """The actions whose label or description fits."""
        matcher = self.matcher(query)
        for item in self._items():
            score = max(matcher.match(item.label), matcher.match(item.description))
            if score > 0:
                yield Hit(score, matcher.highlight(item.label), self._run(item),
                          help=item.description)  # fmt: skip


class KbApp(App[None]):
    """kbtui's app. It draws; the backend is started and closed around it (see `run`)."""

    TITLE = "kbtui"
    CSS_PATH = Path(__file__).with_name("app.tcss")
    COMMANDS: ClassVar = {ActionProvider}
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual's declaration
        (0, "-narrow"),
        (100, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 - Textual's declaration
        (0, "-short"),
        (22, "-normal"),
        (30, "-tall"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", show=False, priority=True, id="interrupt"),
        Binding("ctrl+z", "suspend_process", show=False, id="suspend"),
    ]

    def __init__(
        self,
        backend: Backend,
        *,
        glyphs: Glyphs | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        if os.environ.get("NO_COLOR") == "":
            # The convention (no-color.org) is "present and not empty"; Textual looks at presence.
            del os.environ["NO_COLOR"]
        super().__init__()
        self.backend = backend
        self.glyphs = glyphs or Glyphs()
        self.set_class(self.glyphs.ascii, "ascii")
        self.now = now
        self.painted = asyncio.Event()
        """Set when the first screen has been drawn."""
        self._interrupted_at = float("-inf")
        for name, theme in list(self.available_themes.items()):
            # Our lines are drawn in RGB; with NO_COLOR an ANSI theme would be black on black.
            if theme.ansi:
                self.unregister_theme(name)
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name

    def get_default_screen(self) -> Screen[None]:
        """The main screen is there from the first paint on."""
        return MainScreen(self.backend)

    def on_ready(self) -> None:
        """Say that there is something to see."""
        self.call_after_refresh(self.painted.set)

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        """The screen as SVG, which names local fonts only: looking at it fetches nothing."""
        return REMOTE_FONTS.sub("", super().export_screenshot(title=title, simplify=simplify))

    # Words for people

    def say(self, text: str, *, severity: Severity = "information") -> None:
        """A short notice; `text` is drawn as it is."""
        self.notify(text, severity=severity, timeout=3 if severity == "information" else 8,
                    markup=False)  # fmt: skip

    def keys_of(self, item: Action) -> str:
        """An action's keys as people write them, under the keymap in use."""
        remapped = self._keymap.get(item.id)
        if remapped is None:
            return item.shown or item.keys.replace(",", " ")
        return " ".join(self.get_key_display(Binding(key, "")) for key in remapped.split(","))

    def key_of(self, action_id: str) -> str:
        """The last of an action's keys: the shortest to write."""
        return self.keys_of(action(action_id)).split(" ")[-1]

    def key_entry(self, action_id: str) -> tuple[str, str, str]:
        """(key, label, action) for the key bar."""
        item = action(action_id)
        return self.keys_of(item).split(" ")[0], item.label, f"screen.{item.id}"

    # Quitting

    async def action_quit(self) -> None:
        """Ctrl+Q: as `q`, from wherever one is."""
        main = self.screen_stack[0]
        if self.screen is main or not self.backend.unfinished:
            await main.run_action("ask_quit")
        else:
            self.exit()

    def action_interrupt(self) -> None:
        """Ctrl+C: copy what is selected; else say how to quit; a second press quits."""
        field = self.focused
        text = field.selected_text if isinstance(field, Input) else ""
        text = text or self.screen.get_selected_text() or ""
        if text:
            self.copy_to_clipboard(text)
            self.say("Copied.")
            return
        pressed = time.monotonic()
        if pressed - self._interrupted_at <= SECOND_PRESS:
            self.exit()
            return
        self._interrupted_at = pressed
        self.say("Press ctrl+c again to quit.")

    def _fatal_error(self) -> None:
        # Textual's own shows local variables, and among those may be a token.
        self.bell()
        trace = Traceback(show_locals=False, width=None)
        self._exit_renderables.append(Segments(self.console.render(trace, self.console.options)))
        self._close_messages_no_wait()
