"""The log: it follows, it stands still, it knows its lines by their numbers."""

from __future__ import annotations

from textual.geometry import Offset
from textual.selection import Selection

from kbtui.state.log import LogBuffer
from tests.tui.driving import running, screen_text, until
from tests.tui.scripted import ScriptedBackend


def backend_with(lines: int, capacity: int = 1000) -> ScriptedBackend:
    backend = ScriptedBackend()
    backend.store.log = LogBuffer(capacity)
    for number in range(lines):
        backend.store.note("info", f"line {number}")
    return backend


async def test_it_follows_the_end() -> None:
    backend = backend_with(50)
    async with running(backend, (80, 24)) as (app, _main, pilot):
        assert "line 49" in screen_text(app)
        backend.store.note("warning", "the newest")
        await until(pilot, lambda: "the newest" in screen_text(app))
        assert "Log · following" in screen_text(app)


async def test_it_stands_still_under_a_reader_while_lines_are_dropped() -> None:
    backend = backend_with(300, capacity=300)
    async with running(backend, (80, 24)) as (app, main, pilot):
        main.log_view.focus()
        await pilot.press("up", *["pageup"] * 8)
        shown = [line[:60].strip() for line in screen_text(app).splitlines() if "info" in line]
        assert len(shown) == main.log_view.size.height
        for number in range(100):
            backend.store.note("info", f"more {number}")
        await until(pilot, lambda: "100 new lines" in screen_text(app))
        after = screen_text(app)
        assert all(line in after for line in shown)
        assert "100 older lines dropped" in after
        await pilot.press("G")
        await until(pilot, lambda: "more 99" in screen_text(app))
        assert "following" in screen_text(app)


async def test_what_a_reader_looks_at_may_be_dropped_altogether() -> None:
    backend = backend_with(100, capacity=100)
    async with running(backend, (80, 24)) as (app, main, pilot):
        main.log_view.focus()
        await pilot.press("g")
        for number in range(500):
            backend.store.note("info", f"more {number}")
        await until(pilot, lambda: "500 new lines" in screen_text(app))
        assert "more 400" in screen_text(app)
        await pilot.press("down")
        assert main.log_view.current_line() is not None


async def test_pause_and_follow() -> None:
    backend = backend_with(30)
    async with running(backend, (80, 24)) as (app, main, pilot):
        await pilot.press("p")
        assert "paused" in screen_text(app)
        backend.store.note("info", "unseen")
        await until(pilot, lambda: "1 new line" in screen_text(app))
        assert "unseen" not in screen_text(app)
        await pilot.press("p")
        await until(pilot, lambda: "unseen" in screen_text(app))
        assert main.log_view.following


async def test_the_wheel_stops_following_and_the_end_resumes_it() -> None:
    backend = backend_with(60)
    async with running(backend, (80, 24)) as (_app, main, pilot):
        main.log_view.scroll_to(y=10, animate=False)
        await until(pilot, lambda: not main.log_view.following)
        main.log_view.scroll_end(animate=False)
        await until(pilot, lambda: main.log_view.following)


async def test_moving_down_past_the_end_follows_again() -> None:
    backend = backend_with(60)
    async with running(backend, (80, 24)) as (_app, main, pilot):
        main.log_view.focus()
        await pilot.press("k", "k", "k")
        assert not main.log_view.following
        await pilot.press("j", "j", "j")
        assert main.log_view.following


async def test_a_long_line_is_cut_and_can_be_read_sideways() -> None:
    backend = backend_with(1)
    backend.store.note("error", "a" * 200 + "needle" + "b" * 5000)
    async with running(backend, (80, 24)) as (app, main, pilot):
        main.log_view.focus()
        assert "needle" not in screen_text(app)
        await pilot.press(*["right"] * 9)
        assert "needle" in screen_text(app)
        await pilot.press(*["left"] * 9)
        assert "needle" not in screen_text(app)


async def test_a_selection_stays_on_its_lines() -> None:
    backend = backend_with(100, capacity=100)
    async with running(backend, (80, 24)) as (app, main, pilot):
        main.log_view.focus()
        await pilot.press("p")
        prefix = len("12:00:00 info  ")
        main.selections = {
            main.log_view: Selection(Offset(prefix, 97), Offset(prefix + len("line 99"), 99))
        }
        for _ in range(20):
            backend.store.note("info", "more")
        await until(pilot, lambda: "20 new lines" in screen_text(app))
        await pilot.press("y")
        first, second, third = app.clipboard.split("\n")
        assert first == "line 97"
        assert second.endswith("info  line 98")
        assert third.endswith("info  line 99")


async def test_a_drag_with_the_mouse_selects() -> None:
    backend = backend_with(3)
    async with running(backend, (80, 24)) as (_app, main, pilot):
        await pilot.mouse_down(main.log_view, offset=(1 + 15, 1))
        await pilot.hover(main.log_view, offset=(1 + 21, 1))
        await pilot.mouse_up(main.log_view, offset=(1 + 21, 1))
        await pilot.pause()
        assert main.get_selected_text() in ("line 0", "line ")
