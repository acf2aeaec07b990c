"""The one list of what a person can do: it feeds bindings, palette, help and key bar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Action:
    """One action. `keys` is Textual's comma-separated list; `id` is also the binding's id, by
    which a keymap gives it other keys, and the name of the method `action_<id>`."""

    id: str
    keys: str
    label: str
    description: str
    group: str
    shown: str = ""
    """How the keys are written for people, where Textual's own names would be clumsy."""
    palette: bool = True


GENERAL: Final = (
    Action("add", "a", "Add", "Add a file or a folder", "Documents"),
    Action("search", "s,ctrl+f", "Search", "Search the knowledge base", "Documents", "s ctrl+f"),
    Action("filter", "slash", "Filter", "Show only documents that contain words", "Documents", "/"),
    Action("cancel", "c", "Cancel", "Cancel the selected document", "Documents"),
    Action("retry", "t", "Retry", "Send the selected document again", "Documents"),
    Action("retry_all", "T", "Retry all", "Send every failed document again", "Documents"),
    Action("copy", "y", "Copy", "Copy the selected line or text", "General"),
    Action("pause_log", "p", "Pause", "Pause the log, or follow it again", "Log"),
    Action("toggle_log", "l", "Log", "Log: normal, maximised, hidden", "Log"),
    Action("reconnect", "r", "Reconnect", "Try to connect now", "Connection"),
    Action(
        "show_help", "question_mark,f1", "Help", "Show the keys and the signs", "General", "? F1"
    ),
    Action("palette", "ctrl+p", "Palette", "Find an action by its name", "General", palette=False),
    Action("theme", "", "Theme", "Choose another theme", "General"),
    Action("back", "escape", "Back", "Leave a filter, a pane or a selection", "General", "esc"),
    Action("ask_quit", "q", "Quit", "Quit; asks while work is unfinished", "General"),
)
"""What works on the main screen, wherever the focus is."""

MOVES: Final = (
    Action("cursor_up", "up,k", "Up", "One line up", "Moving", "up k", palette=False),
    Action("cursor_down", "down,j", "Down", "One line down", "Moving", "down j", palette=False),
    Action("page_up", "pageup", "Page up", "One page up", "Moving", "pgup", palette=False),
    Action("page_down", "pagedown", "Page down", "One page down", "Moving", "pgdn", palette=False),
    Action("first", "home,g", "First", "To the first line", "Moving", "home g", palette=False),
    Action("last", "end,G", "Last", "To the last line; the log follows again", "Moving",
           "end G", palette=False),
)  # fmt: skip
"""What works in the table, the timeline, the log and the search results."""

TABLE: Final = (
    Action(
        "open", "enter", "Stages", "Go to the selected document's stages", "Moving", palette=False
    ),
)

SIDEWAYS: Final = (
    Action("left", "left", "Left", "Long log lines: back", "Log", "", palette=False),
    Action("right", "right", "Right", "Long log lines: further", "Log", "", palette=False),
)

FIXED: Final = (
    ("tab", "Go to the next pane", "Moving"),
    ("ctrl+c", "Copy the selection; twice: quit at once", "General"),
)
"""Keys that are Textual's or the app's own and cannot be given to something else."""

ALL: Final = GENERAL + MOVES + TABLE + SIDEWAYS
_BY_ID: Final = {action.id: action for action in ALL}


def action(action_id: str) -> Action:
    """The action of that id; raises KeyError."""
    return _BY_ID[action_id]


def bindings(actions: Iterable[Action]) -> list[Binding]:
    """Textual's bindings for these actions."""
    return [
        Binding(item.keys, item.id, item.description, show=False, id=item.id)
        for item in actions
        if item.keys
    ]
