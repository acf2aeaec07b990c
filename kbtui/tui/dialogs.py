"""A question with two answers, as a dialog."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static


class QuestionScreen(ModalScreen[bool]):
    """Asks; the result is True for yes. The safe answer has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "answer(False)", show=False),
        Binding("y", "answer(True)", show=False),
        Binding("left,right,h,l", "app.focus_next", show=False),
    ]

    def __init__(self, title: str, question: str, yes: str, no: str) -> None:
        super().__init__()
        self._title, self._question, self._yes, self._no = title, question, yes, no

    def compose(self) -> ComposeResult:
        """The dialog."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = self._title
            dialog.border_subtitle = "y / n"
            yield Static(self._question, classes="question", markup=False)
            with Horizontal(classes="buttons"):
                yield Button(self._yes, id="yes")
                yield Button(self._no, id="no")

    def on_mount(self) -> None:
        """The safe answer first."""
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """Answer by a key."""
        self.dismiss(yes)


def quit_question(unfinished: int) -> QuestionScreen:
    """What quitting would mean while that many documents are not finished."""
    subject = "1 document is" if unfinished == 1 else f"{unfinished} documents are"
    return QuestionScreen(
        "Quit?",
        f"{subject} not finished. Running ones go on in the server; queued ones are kept and "
        "continue at the next start.",
        "Quit",
        "Stay",
    )
