"""What the screens look like, at four sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from kbtui.connection import ConnectionState
from kbtui.tui.app import KbApp
from kbtui.tui.glyphs import Glyphs
from tests.tui import scripted
from tests.tui.driving import screen_text, until
from tests.tui.scripted import ScriptedBackend

SIZES = [(40, 15), (80, 24), (120, 40), (200, 50)]
sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")


def app_of(backend: ScriptedBackend, *, plain: bool = False) -> KbApp:
    return KbApp(backend, glyphs=Glyphs(ascii=plain), now=backend.clock)


def press(
    *keys: str, until_shown: str = "", then: tuple[str, ...] = ()
) -> Callable[[Pilot[None]], object]:
    async def act(pilot: Pilot[None]) -> None:
        await pilot.press(*keys)
        await until(pilot, lambda: until_shown in screen_text(pilot.app))
        await pilot.press(*then)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False
        await pilot.pause()

    return act


@sizes
def test_connecting_with_nothing_to_do(snap_compare, size) -> None:
    backend = ScriptedBackend()
    backend.connection(ConnectionState.CONNECTING, attempt=1)
    assert snap_compare(app_of(backend), terminal_size=size)


@sizes
@pytest.mark.parametrize("scene", ["busy", "done", "reconnecting", "failed"])
def test_scene(snap_compare, size, scene: str) -> None:
    backend = getattr(scripted, scene)(ScriptedBackend())
    assert snap_compare(app_of(backend), terminal_size=size)


@sizes
def test_add_dialog(snap_compare, size, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "archive").mkdir()
    for name in ("annual [2025].pdf", "annex-b.docx", "notes.md"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    app = app_of(scripted.busy(ScriptedBackend()))
    act = press("a", "a", "n", until_shown="annex-b.docx", then=("down",))
    assert snap_compare(app, terminal_size=size, run_before=act)


@sizes
def test_search_results(snap_compare, size) -> None:
    app = app_of(scripted.found(ScriptedBackend()))
    act = press("s", *"liquidity", "space", *"reserve", "enter", until_shown="3 passages")
    assert snap_compare(app, terminal_size=size, run_before=act)


@sizes
def test_help(snap_compare, size) -> None:
    app = app_of(scripted.busy(ScriptedBackend()))
    assert snap_compare(app, terminal_size=size, run_before=press("question_mark"))


@sizes
def test_quit_dialog(snap_compare, size) -> None:
    app = app_of(scripted.busy(ScriptedBackend()))
    assert snap_compare(app, terminal_size=size, run_before=press("q"))


def test_ascii(snap_compare) -> None:
    app = app_of(scripted.reconnecting(ScriptedBackend()), plain=True)
    assert snap_compare(app, terminal_size=(80, 24))


def test_light_theme(snap_compare) -> None:
    app = app_of(scripted.busy(ScriptedBackend()))
    app.theme = "kbtui-light"
    assert snap_compare(app, terminal_size=(120, 40))


def test_without_colour(snap_compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = app_of(scripted.failed(ScriptedBackend()))
    assert snap_compare(app, terminal_size=(80, 24))
