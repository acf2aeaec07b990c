"""Colour roles: what the theme's colours mean here, as styles for drawing lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rich.style import Style
from textual.color import Color
from textual.theme import Theme

DARK: Final = Theme(
    name="kbtui-dark",
    primary="#7aa2f7",
    secondary="#565f89",
    accent="#7dcfff",
    success="#9ece6a",
    warning="#e0af68",
    error="#f7768e",
    foreground="#c8d0f0",
    background="#16161e",
    surface="#1a1b26",
    panel="#24283b",
    variables={"border": "#3b4261", "border-blurred": "#3b4261"},
)
LIGHT: Final = Theme(
    name="kbtui-light",
    primary="#2e5cb8",
    secondary="#6a7086",
    accent="#00708f",
    success="#3f7d20",
    warning="#8f5e00",
    error="#b3123c",
    foreground="#2b2f40",
    background="#f5f6fa",
    surface="#ffffff",
    panel="#e3e6f0",
    dark=False,
    variables={"border": "#b8bdd0", "border-blurred": "#b8bdd0"},
)


@dataclass(frozen=True, slots=True)
class Roles:
    """A style for each meaning. Backgrounds are set by `cursor` and `selected` only."""

    text: Style
    muted: Style
    faint: Style
    title: Style
    info: Style
    active: Style
    success: Style
    warning: Style
    error: Style
    accent: Style
    key: Style
    cursor: Style
    cursor_blurred: Style
    highlight: Style

    def of(self, role: str) -> Style:
        """The style of the role by its name."""
        style: Style = getattr(self, role)
        return style


def roles(variables: Mapping[str, str]) -> Roles:
    """The roles for a theme, from its CSS variables."""

    def colour(name: str, fallback: str) -> Color:
        return Color.parse(variables.get(name, fallback)).with_alpha(1.0)

    foreground = colour("foreground", "#e0e0e0")
    surface = colour("surface", "#1e1e1e")
    primary = colour("primary", "#0178d4")

    def style(value: Color, *, bold: bool = False) -> Style:
        return Style(color=value.rich_color, bold=bold or None)

    accent = colour("accent", "#7dcfff")
    warning = colour("warning", "#ffa62b")
    return Roles(
        text=style(foreground),
        muted=style(foreground.blend(surface, 0.38)),
        faint=style(foreground.blend(surface, 0.72)),
        title=style(foreground, bold=True),
        info=style(foreground.blend(surface, 0.15)),
        active=style(primary),
        success=style(colour("success", "#4ebf71")),
        warning=style(warning),
        error=style(colour("error", "#ba3c5b")),
        accent=style(accent),
        key=style(accent, bold=True),
        cursor=Style(bgcolor=surface.blend(primary, 0.30).rich_color),
        cursor_blurred=Style(bgcolor=surface.blend(primary, 0.14).rich_color),
        highlight=Style(
            color=surface.rich_color, bgcolor=warning.rich_color, bold=True, underline=True
        ),
    )
