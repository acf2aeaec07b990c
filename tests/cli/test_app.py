"""The app itself under a real terminal, with its real server: quit, kill and go on."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.make_data import mixed_folder
from tests.processes import run_kbtui, wait_until
from tests.terminal import Terminal


def stored(home: Path) -> int:
    path = home / "data" / "knowledge.db"
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM documents").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def unfinished(home: Path) -> int:
    connection = sqlite3.connect(f"file:{home / 'state' / 'journal.db'}?mode=ro", uri=True)
    ended = "('completed', 'failed', 'unknown', 'skipped', 'cancelled')"
    try:
        query = f"SELECT count(*) FROM jobs WHERE state NOT IN {ended}"
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "mixed"
    path.mkdir()
    mixed_folder(path, 60)
    return path


def restored(terminal: Terminal) -> bool:
    """The alternate screen left, the cursor shown, mouse reports off."""
    return all(code in terminal.raw for code in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l"))


def leave(app: Terminal) -> None:
    """Quit; where the last answer is still on its way, the app asks."""
    app.press("q")
    mark = len(app.raw)
    while app.drain(0.05):
        if b"not finished" in app.raw[mark:]:
            mark = len(app.raw)
            app.press("y")
    assert app.wait() == 0


def test_quit_in_the_middle_and_go_on(home: Path, folder: Path) -> None:
    with Terminal(folder, home=home) as app:
        app.expect("60 documents queued")
        wait_until(lambda: app.drain(0.01) and stored(home) >= 10, "ten documents")
        app.press("q")
        app.expect("not finished")
        app.press("y")
        assert app.wait() == 0
        assert restored(app)
    assert 10 <= stored(home) < 60
    assert unfinished(home) > 0
    with Terminal(home=home) as app:
        wait_until(lambda: app.drain(0.01) and unfinished(home) == 0, "the rest")
        leave(app)
    assert stored(home) == 60, "nothing lost, nothing twice"


def test_kill_9_and_go_on(home: Path, folder: Path) -> None:
    for at_least in (5, 20):
        with Terminal(*([folder] if at_least == 5 else []), home=home) as app:
            wait_until(lambda n=at_least: app.drain(0.01) and stored(home) >= n, "some documents")
            os.kill(app.pid, signal.SIGKILL)
            app.wait()
    with Terminal(home=home) as app:
        wait_until(lambda: app.drain(0.01) and unfinished(home) == 0, "the rest")
        leave(app)
    assert stored(home) == 60


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(
    number: signal.Signals, home: Path, folder: Path
) -> None:
    with Terminal(folder, home=home) as app:
        app.expect("● connected")
        os.kill(app.pid, number)
        assert app.wait() == 128 + number
        assert restored(app)


def test_the_first_paint_waits_for_nothing(home: Path) -> None:
    # A server that takes connections and never says a word.
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}/ws"
        with Terminal("--server", url, home=home) as app:
            app.expect("Press a to add")
            app.expect("connecting")
            app.press("q")
            assert app.wait() == 0


def test_search_from_inside_finds_what_landed(home: Path, documents: Path) -> None:
    assert run_kbtui("ingest", documents, home=home).returncode == 0
    with Terminal(home=home) as app:
        app.expect("● connected")
        app.press("s")
        app.expect("what to find")
        app.press("varroa mites\r")
        app.expect("beekeeping.docx")
        app.press("\x1b")
        app.expect("a Add")
        leave(app)
