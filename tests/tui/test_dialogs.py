"""The dialogs: adding with completion, searching."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Input, OptionList

from kbtui.tui.add_screen import AddScreen
from kbtui.tui.search_screen import SearchScreen
from tests.tui.driving import notices, running, screen_text, until
from tests.tui.scripted import NAMES, Report, ScriptedBackend, found


async def test_a_path_is_completed_and_added(tmp_path: Path) -> None:
    (tmp_path / "annual [x].pdf").touch()
    (tmp_path / "annex.pdf").touch()
    backend = ScriptedBackend()
    backend.report = Report(queued=1)
    async with running(backend, (80, 24)) as (app, _main, pilot):
        await pilot.press("a")
        field = app.screen.query_one("#path", Input)
        field.value = f"{tmp_path}/a"
        options = app.screen.query_one(OptionList)
        await until(pilot, lambda: options.option_count == 2)
        await pilot.press("tab")
        assert field.value == f"{tmp_path}/ann"
        await until(pilot, lambda: options.option_count == 2)
        await pilot.press("down", "down", "tab")
        assert field.value == f"{tmp_path}/annual [x].pdf"
        await until(pilot, lambda: options.option_count == 1)
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, AddScreen))
        assert backend.calls == [("add", ([f"{tmp_path}/annual [x].pdf"], None, None))]
        await until(pilot, lambda: "1 document queued." in notices(app))


async def test_enter_takes_the_highlighted_candidate_first(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "deep.pdf").touch()
    backend = ScriptedBackend()
    async with running(backend, (80, 24)) as (app, _main, pilot):
        await pilot.press("a")
        field = app.screen.query_one("#path", Input)
        field.value = f"{tmp_path}/i"
        options = app.screen.query_one(OptionList)
        await until(pilot, lambda: options.option_count == 1)
        await pilot.press("down", "enter")
        assert field.value == f"{tmp_path}/inner/"
        await until(pilot, lambda: "deep.pdf" in screen_text(app))
        assert backend.calls == []


async def test_domain_and_name_go_along(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").touch()
    backend = ScriptedBackend()
    backend.report = Report(queued=1)
    async with running(backend, (80, 24)) as (app, _main, pilot):
        await pilot.press("a")
        app.screen.query_one("#path", Input).value = str(tmp_path / "a.pdf")
        app.screen.query_one("#domain", Input).value = "law"
        app.screen.query_one("#name", Input).value = "The A"
        app.screen.query_one("#name", Input).focus()
        await pilot.press("enter")
        await until(pilot, lambda: backend.calls)
        assert backend.calls == [("add", ([str(tmp_path / "a.pdf")], "law", "The A"))]


async def test_what_is_wrong_stays_in_the_dialog(tmp_path: Path) -> None:
    backend = ScriptedBackend()
    backend.report = Report(2, [(f"{tmp_path}/x.bin", "kind of file not [known]")])
    async with running(backend, (80, 24)) as (app, _main, pilot):
        await pilot.press("a", "enter")
        await until(pilot, lambda: "Type the path of a file or a folder." in screen_text(app))
        app.screen.query_one("#path", Input).value = "/nowhere/at all"
        await pilot.press("enter")
        await until(
            pilot, lambda: 'There is no file or folder "/nowhere/at all"' in screen_text(app)
        )
        app.screen.query_one("#path", Input).value = str(tmp_path)
        await pilot.press("enter")
        await until(pilot, lambda: "2 documents queued, 1 refused." in screen_text(app))
        assert "not [known]" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "2 documents queued." in notices(app))


async def test_a_search_shows_passages_and_entities_and_copies() -> None:
    backend = found(ScriptedBackend())
    async with running(backend) as (app, _main, pilot):
        await pilot.press("s", *"liquidity", "enter")
        await until(pilot, lambda: "3 passages, 2 entities" in screen_text(app))
        text = screen_text(app)
        assert "p. 87" in text
        assert "0.83" in text
        assert "European Central Bank" in text
        assert "[section 7.2]" in text
        assert backend.calls == [("search_chunks", "liquidity"), ("search_entities", "liquidity")]
        await pilot.press("j", "y")
        assert app.clipboard.startswith("The covenant [section 7.2] obliges")
        assert app.clipboard.endswith(f"({NAMES[0]}, p. 88)")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, SearchScreen))


async def test_a_failed_search_says_why_and_keeps_the_other_half() -> None:
    backend = found(ScriptedBackend())
    backend.hits = RuntimeError("There is no connection to the server; it is tried again.")
    async with running(backend) as (app, _main, pilot):
        await pilot.press("s", *"cash", "enter")
        await until(pilot, lambda: "There is no connection to the server" in screen_text(app))
        assert "European Central Bank" in screen_text(app)


async def test_a_search_without_hits_says_what_to_try() -> None:
    async with running(ScriptedBackend()) as (app, _main, pilot):
        await pilot.press("s", *"cash", "enter")
        await until(pilot, lambda: "No passage found." in screen_text(app))
        assert "try other words" in screen_text(app)
