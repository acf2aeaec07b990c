"""The main screen: it draws what the store says, and only that much; keys reach the backend."""

from __future__ import annotations

import pytest

from kbtui.connection import ConnectionState
from kbtui.ingest.jobs import JobState as S
from kbtui.tui.actions import ALL, GENERAL
from kbtui.tui.app import KbApp
from kbtui.tui.bars import KeyBar
from kbtui.tui.dialogs import QuestionScreen
from tests.tui.driving import notices, running, screen_text, until
from tests.tui.scripted import ScriptedBackend, busy, failed, reconnecting


async def test_a_change_in_the_store_reaches_the_screen() -> None:
    backend = ScriptedBackend()
    async with running(backend) as (app, _main, pilot):
        assert "No documents yet" in screen_text(app)
        backend.connect()
        backend.job("a", "first.pdf")
        await until(pilot, lambda: "first.pdf" in screen_text(app))
        assert "connected" in screen_text(app)


async def test_markup_in_names_is_shown_as_it_is() -> None:
    backend = ScriptedBackend()
    backend.job("a", "[bold red]x[/] [link=http://e]y")
    async with running(backend) as (app, _, _pilot):
        assert "[bold red]x[/] [link=http://e]" in screen_text(app)


@pytest.mark.parametrize("size", [(40, 15), (80, 24), (120, 40)])
async def test_hostile_text_changes_nothing_but_itself(size: tuple[int, int]) -> None:
    backend = ScriptedBackend()
    backend.connect()
    hostile = "\x1b[2J\x1b]52;c;eA==\x07 [red] \u202egnp.exe\u202c 東京" + "👩‍👩‍👧" * 40 + "\x00"
    backend.job("a", hostile, path="/x/" + hostile)
    backend.to("a", S.SUBMITTING, S.RUNNING)
    backend.progress("a", 1, message=hostile + "m" * 1_000_000)
    backend.job("b", "b.pdf")
    backend.to("b", S.SUBMITTING, S.FAILED, error=hostile * 100)
    backend.connection(ConnectionState.RECONNECTING, reason=hostile, attempt=2, retry_in=3)
    async with running(backend, size) as (app, _main, pilot):
        await pilot.press("down", "l", "l", "l")
        width, height = size
        text = screen_text(app)
        assert "\x1b" not in text
        assert "\u202e" not in text
        strips = app.screen._compositor.render_strips(app.screen.size)
        assert [strip.cell_length for strip in strips] == [width] * height


async def test_ten_thousand_events_cost_a_bounded_number_of_draws() -> None:
    backend = ScriptedBackend()
    for number in range(1000):
        backend.job(f"j{number}", f"{number}.pdf")
        backend.to(f"j{number}", S.SUBMITTING, S.RUNNING)
    async with running(backend) as (app, main, pilot):
        await until(pilot, lambda: not main.store.take_changes())
        flushes, drawn = main.flushes, main.table.lines_drawn + main.log_view.lines_drawn
        for number in range(10_000):
            backend.progress(f"j{number % 1000}", 3, current=number // 1000, total=10)
        await until(pilot, lambda: main.flushes > flushes)
        await pilot.pause()
        assert main.flushes - flushes <= 2
        screenfuls = 4
        lines = main.table.lines_drawn + main.log_view.lines_drawn - drawn
        assert lines <= screenfuls * app.size.height


async def test_nothing_happens_while_nothing_changes() -> None:
    backend = ScriptedBackend()
    backend.connect()
    backend.job("a", "a.pdf")
    async with running(backend) as (_app, main, pilot):
        drawn = main.table.lines_drawn
        await pilot.pause(0.15)
        assert main._ticker is not None
        assert not main._ticker._active.is_set()
        assert main._flush_planned is None or main._flush_planned.when() < main._last_flush + 1
        assert main.table.lines_drawn == drawn


async def test_the_clocks_tick_only_while_something_runs() -> None:
    backend = ScriptedBackend()
    backend.job("a", "a.pdf")
    async with running(backend) as (app, main, pilot):
        assert main._ticker is not None
        backend.to("a", S.SUBMITTING, S.RUNNING)
        await until(pilot, main._ticker._active.is_set)
        backend.clock.at += 65
        main.tick()
        await until(pilot, lambda: "1:05" in screen_text(app))
        backend.to("a", S.COMPLETED)
        await until(pilot, lambda: main._ticker and not main._ticker._active.is_set())


async def test_the_cursor_stays_on_its_document_and_the_view_where_it_is() -> None:
    backend = busy(ScriptedBackend())
    async with running(backend, (100, 24)) as (_app, main, pilot):
        assert main.selected is not None
        assert main.selected.job_id == "j00"
        await pilot.press("j", "j")
        assert main.selected.job_id == "j02"
        top = main.table.scroll_offset
        backend.to("j02", S.COMPLETED)
        backend.to("j00", S.FAILED, error="no")
        await until(pilot, lambda: main.table.cursor_row != 2)
        assert main.selected.job_id == "j02"
        assert main.table.scroll_offset == top
        await pilot.press("escape")
        assert main.selected.job_id == "j01"


async def test_until_it_is_moved_the_cursor_follows_what_runs() -> None:
    backend = busy(ScriptedBackend())
    async with running(backend) as (_app, main, pilot):
        backend.to("j00", S.COMPLETED)
        await until(pilot, lambda: main.selected and main.selected.job_id == "j01")
        assert main.timeline.view is main.selected


@pytest.mark.parametrize("keys", [("G",), ("end",)])
async def test_moving_to_the_end_and_back(keys: tuple[str, ...]) -> None:
    backend = busy(ScriptedBackend())
    async with running(backend, (80, 24)) as (_app, main, pilot):
        await pilot.press(*keys)
        assert main.table.cursor_row == 59
        assert main.table.scroll_offset.y > 0
        await pilot.press("pageup", "up", "pagedown", "g")
        assert main.table.cursor_row == 0
        assert main.table.scroll_offset.y == 0


async def test_the_filter_narrows_and_escape_ends_it() -> None:
    backend = busy(ScriptedBackend())
    async with running(backend, (80, 24)) as (app, main, pilot):
        await pilot.press("slash", *"encrypted", "enter")
        assert main.table.shown == 1
        assert main.selected is not None
        assert main.selected.job_id == "j34"
        assert "filtered from 60" in screen_text(app)
        await pilot.press("escape")
        assert main.table.shown == 60
        await pilot.press("slash", *"zzz")
        assert 'No document contains "zzz"' in screen_text(app)


async def test_cancel_asks_first_when_the_document_runs() -> None:
    backend = busy(ScriptedBackend())
    async with running(backend) as (app, _main, pilot):
        await pilot.press("c")
        assert isinstance(app.screen, QuestionScreen)
        await pilot.press("enter")
        assert backend.calls == []
        await pilot.press("c", "y")
        await until(pilot, lambda: ("cancel", "j00") in backend.calls)
        await until(pilot, lambda: any("Cancelled: Annual Report" in n for n in notices(app)))


async def test_a_refusal_is_shown() -> None:
    backend = failed(ScriptedBackend())
    backend.refusal = "The server does not let [this] be retried."
    async with running(backend) as (app, _main, pilot):
        await pilot.press("G", "t")
        await until(pilot, lambda: backend.refusal in notices(app))
        assert backend.calls == [("retry", "j0")]


async def test_retry_all_retries_what_failed() -> None:
    backend = busy(ScriptedBackend())
    async with running(backend) as (_app, _main, pilot):
        await pilot.press("T")
        await until(pilot, lambda: backend.calls == [("retry", "j34")])


async def test_reconnect_now_only_while_it_waits() -> None:
    backend = reconnecting(ScriptedBackend())
    async with running(backend, (80, 24)) as (app, _main, pilot):
        assert "next try in 0:13 (attempt 4)" in screen_text(app)
        await pilot.press("r")
        assert backend.calls == [("reconnect_now", None)]
        backend.connect()
        await pilot.press("r")
        assert len(backend.calls) == 1


async def test_quit_without_work_quits() -> None:
    backend = ScriptedBackend()
    async with running(backend) as (app, _main, pilot):
        await pilot.press("q")
        await until(pilot, lambda: app._exit)


async def test_quit_with_work_asks() -> None:
    backend = busy(ScriptedBackend())
    async with running(backend) as (app, _main, pilot):
        await pilot.press("q")
        assert f"{backend.unfinished} documents are not finished." in screen_text(app)
        await pilot.press("enter")
        assert not app._exit
        await pilot.press("ctrl+q", "y")
        await until(pilot, lambda: app._exit)


async def test_the_second_ctrl_c_quits() -> None:
    backend = busy(ScriptedBackend())
    async with running(backend) as (app, _main, pilot):
        await pilot.press("ctrl+c")
        assert not app._exit
        assert "Press ctrl+c again to quit." in notices(app)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app._exit)


async def test_ctrl_c_works_in_a_dialog() -> None:
    async with running(busy(ScriptedBackend())) as (app, _main, pilot):
        await pilot.press("a", "ctrl+c", "ctrl+c")
        await until(pilot, lambda: app._exit)


async def test_copy_takes_what_the_pane_stands_on() -> None:
    backend = failed(ScriptedBackend())
    async with running(backend) as (app, main, pilot):
        await pilot.press("G", "y")
        assert app.clipboard.startswith(
            f"/data/papers/{backend.jobs['j0'].name}  failed  The server"
        )
        await pilot.press("enter", "y")
        await until(pilot, lambda: "read and parse" in app.clipboard)
        main.log_view.focus()
        await pilot.press("y")
        assert "the server refused the token (HTTP 401)" in app.clipboard


async def test_enter_opens_the_stages_where_there_was_no_room() -> None:
    backend = busy(ScriptedBackend())
    async with running(backend, (40, 15)) as (app, main, pilot):
        assert "read and parse" not in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: main.focused is main.timeline)
        assert "read and parse" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: main.focused is main.table)


async def test_the_log_is_maximised_hidden_and_back() -> None:
    async with running(busy(ScriptedBackend()), (80, 24)) as (_app, main, pilot):
        height = main.log_view.size.height
        await pilot.press("l")
        assert main.log_view.size.height > height
        await pilot.press("l")
        assert not main.log_view.display
        await pilot.press("l")
        assert main.log_view.size.height == height


async def test_every_action_is_in_the_help_and_has_a_method() -> None:
    async with running(ScriptedBackend(), (100, 80)) as (app, main, pilot):
        await pilot.press("question_mark")
        await pilot.pause()
        text = screen_text(app)
        for action in ALL:
            if action.keys:
                assert action.description in text
        for action in GENERAL:
            assert callable(getattr(main, f"action_{action.id}"))


async def test_every_action_is_in_the_palette() -> None:
    async with running(ScriptedBackend(), (100, 80)) as (app, _main, pilot):
        await pilot.press("ctrl+p")
        await until(pilot, lambda: GENERAL[0].description in screen_text(app))
        for action in GENERAL:
            assert action.palette == (action.description in screen_text(app))


async def test_the_palette_runs_actions() -> None:
    backend = reconnecting(ScriptedBackend())
    async with running(backend) as (_app, _main, pilot):
        await pilot.press("ctrl+p", *"reconnect")
        await until(pilot, lambda: "Reconnect" in screen_text(_app))
        await pilot.press("enter")
        await until(pilot, lambda: ("reconnect_now", None) in backend.calls)


async def test_keys_can_be_remapped() -> None:
    backend = reconnecting(ScriptedBackend())
    async with running(backend) as (app, main, pilot):
        app.set_keymap({"reconnect": "f5"})
        await pilot.press("r")
        assert backend.calls == []
        await pilot.press("f5")
        assert backend.calls == [("reconnect_now", None)]
        main.describe()
        await until(pilot, lambda: "f5 Reconnect" in screen_text(app).splitlines()[-1])


async def test_the_key_bar_is_never_cut_and_names_seven_keys_at_most() -> None:
    async with running(reconnecting(ScriptedBackend()), (200, 24)) as (_app, main, pilot):
        bar = main.query_one(KeyBar)
        for width in range(20, 200, 9):
            await pilot.resize_terminal(width, 24)
            await until(pilot, lambda width=width: bar.size.width == width - 2)
            assert bar.render().cell_len <= bar.size.width
            assert len(bar._spans) <= 7
            assert "? Help" in bar.render().plain
            assert "q Quit" in bar.render().plain


async def test_any_size_works() -> None:
    async with running(reconnecting(ScriptedBackend())) as (app, _main, pilot):
        for width, height in [(10, 3), (1, 1), (40, 15), (300, 5), (5, 80), (99, 20), (100, 19)]:
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            strips = app.screen._compositor.render_strips(app.screen.size)
            assert len(strips) == height


async def test_another_theme_changes_the_lines() -> None:
    async with running(busy(ScriptedBackend())) as (app, main, pilot):
        before = main.table.render_line(1)
        app.theme = "kbtui-light"
        await pilot.pause()
        after = main.table.render_line(1)
        assert before.text == after.text
        assert [s.style for s in before] != [s.style for s in after]


def test_no_ansi_theme_is_offered() -> None:
    app = KbApp(ScriptedBackend())
    assert not [name for name, theme in app.available_themes.items() if theme.ansi]
