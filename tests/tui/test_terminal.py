"""In a real terminal: whatever ends the app, the terminal is as it was before."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LEFT_ALTERNATE_SCREEN = b"\x1b[?1049l"
CURSOR_SHOWN = b"\x1b[?25h"
LIMIT = 20.0


class Terminal:
    """A pseudo-terminal with the app in it."""

    def __init__(self, mode: str, notes: Path, *paths: str, **environment: str) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before: list[Any] = termios.tcgetattr(self.slave)
        self.seen = b""
        slave = self.slave
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.tui.pty_app", mode, str(notes), *paths],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def _read(self) -> bool:
        ready, _, _ = select.select([self.master], [], [], 0.05)
        if not ready:
            return False
        try:
            self.seen += os.read(self.master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        return True

    def until(self, text: bytes) -> None:
        """Read until the app has written this."""
        deadline = time.monotonic() + LIMIT
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen[-2000:]
            assert self.process.poll() is None, self.seen[-2000:]
            self._read()

    def code(self) -> int:
        """Drain until the process has ended; its exit code."""
        deadline = time.monotonic() + LIMIT
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen[-2000:]
            self._read()
        while self._read():
            pass
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for descriptor in (self.master, self.slave):
            try:
                os.close(descriptor)
            except OSError as error:
                assert error.errno == errno.EBADF

    def assert_restored(self) -> None:
        """The terminal is as it was: screen, cursor, line discipline."""
        end = self.seen.rindex(LEFT_ALTERNATE_SCREEN)
        assert CURSOR_SHOWN in self.seen[end:]
        assert b"\x1b[?1049h" not in self.seen[end:]
        assert termios.tcgetattr(self.slave) == self.before


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_cleanly(
    terminals, notes: Path, number: signal.Signals, code: int
) -> None:
    terminals.append(terminal := Terminal("plain", notes))
    terminal.until(b"a.pdf")
    terminal.process.send_signal(number)
    assert terminal.code() == code
    terminal.assert_restored()
    assert notes.read_text() == "closed"


def test_a_crash_leaves_a_terminal_and_a_traceback_without_local_variables(
    terminals, notes: Path
) -> None:
    terminals.append(terminal := Terminal("crash", notes))
    assert terminal.code() == 1
    terminal.assert_restored()
    after = terminal.seen[terminal.seen.rindex(LEFT_ALTERNATE_SCREEN) :]
    assert b"TypeError" in after
    assert b"hunter2" not in terminal.seen
    assert b"locals" not in after
    assert notes.read_text() == "closed"


def test_the_screen_does_not_wait_for_the_server(terminals, notes: Path) -> None:
    terminals.append(terminal := Terminal("slow", notes))
    terminal.until(b"embedded server")
    terminal.until(b"No documents yet.")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.code() == 143
    terminal.assert_restored()


def test_a_backend_that_cannot_start_says_so_on_screen(terminals, notes: Path) -> None:
    terminals.append(terminal := Terminal("refuses", notes))
    terminal.until(b"another [instance]")
    os.write(terminal.master, b"q")
    assert terminal.code() == 0
    terminal.assert_restored()


def test_a_vanished_terminal_ends_the_process(terminals, notes: Path) -> None:
    terminals.append(terminal := Terminal("plain", notes))
    terminal.until(b"a.pdf")
    os.close(terminal.slave)
    os.close(terminal.master)
    assert terminal.process.wait(LIMIT) == 129
    assert notes.read_text() == "closed"


def test_no_colour_is_legible(terminals, notes: Path) -> None:
    terminals.append(terminal := Terminal("plain", notes, NO_COLOR="1", COLORTERM="truecolor"))
    terminal.until(b"a.pdf")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.code() == 143
    colours = {part.split(b"m")[0] for part in terminal.seen.split(b"\x1b[38;2;")[1:]}
    assert colours
    assert all(len(set(colour.split(b";")[:3])) == 1 for colour in colours), colours
