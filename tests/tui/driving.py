"""Runs the app headless and waits for conditions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from kbtui.tui.app import KbApp
from kbtui.tui.glyphs import Glyphs
from kbtui.tui.main_screen import MainScreen
from tests.tui.scripted import ScriptedBackend

TRIES = 250


@asynccontextmanager
async def running(
    backend: ScriptedBackend, size: tuple[int, int] = (120, 40), *, plain: bool = False
) -> AsyncIterator[tuple[KbApp, MainScreen, Pilot[None]]]:
    """The app on a virtual terminal of that size."""
    app = KbApp(backend, glyphs=Glyphs(ascii=plain), now=backend.clock)
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        main = app.screen_stack[0]
        assert isinstance(main, MainScreen)
        yield app, main, pilot


async def until(pilot: Pilot[None], condition: Callable[[], object], what: str = "") -> None:
    """Wait for a condition; fails when it does not come true."""
    for _ in range(TRIES):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(what or "the condition did not come true")


def screen_text(app: App[Any]) -> str:
    """What the terminal shows, line by line."""
    strips = app.screen._compositor.render_strips(app.screen.size)
    return "\n".join(strip.text.rstrip() for strip in strips)


def notices(app: KbApp) -> list[str]:
    """The texts of the notices that were shown."""
    return [str(notice.message) for notice in app._notifications]
