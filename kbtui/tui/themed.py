"""What every widget of ours that draws itself needs: the app by its type, and the theme's roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.theme import Theme
from textual.widget import Widget

from kbtui.tui.roles import Roles, roles

if TYPE_CHECKING:
    from kbtui.tui.app import KbApp


class Themed(Widget):
    """A widget that knows the colours of the theme in use and hears when they change."""

    _roles: Roles | None = None

    @property
    def kb(self) -> KbApp:
        """The app, by its type."""
        from kbtui.tui.app import KbApp

        app = self.app
        assert isinstance(app, KbApp)
        return app

    @property
    def roles(self) -> Roles:
        """The colours of the theme in use."""
        if self._roles is None:
            self._roles = roles(self.app.theme_variables)
        return self._roles

    def on_mount(self) -> None:
        """Begin to listen for another theme."""
        self.app.theme_changed_signal.subscribe(self, self._theme_changed)

    def _theme_changed(self, _theme: Theme) -> None:
        self._roles = None
        self.restyled()
        self.refresh()

    def restyled(self) -> None:
        """The colours have changed: drop what was drawn with the old ones."""
