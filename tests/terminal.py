"""kbtui under a real pseudo-terminal: keys in, what it draws out."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path
from typing import Self

from tests.processes import PATIENCE, environment

ESCAPES = re.compile(rb"\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_]|\[[0-?]*[ -/]*[@-~])")


class Terminal:
    """A kbtui process with a terminal of its own, drained whenever the test waits."""

    def __init__(self, *arguments: str | Path, home: Path, size: tuple[int, int] = (120, 40)):
        columns, lines = size
        command = [sys.executable, "-m", "kbtui", *map(str, arguments)]
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, {**environment(home), "TERM": "xterm-256color"})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.raw = b""
        self.exit_code: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        os.close(self._fd)

    @property
    def text(self) -> str:
        """Everything drawn so far, without escape sequences."""
        return ESCAPES.sub(b"", self.raw).decode("utf-8", "replace")

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._fd, keys.encode())

    def expect(self, text: str, patience: float = PATIENCE) -> None:
        """Read until `text` has been drawn since the last `expect`."""
        deadline = time.monotonic() + patience
        while text not in ESCAPES.sub(b"", self._seen()).decode("utf-8", "replace"):
            assert self.drain(0.05), f"it ended before {text!r}:\n{self.text[-2000:]}"
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.text[-2000:]}"
        self._mark = len(self.raw)

    def wait(self, patience: float = PATIENCE) -> int:
        """Read to the end; the exit code as a shell would have it."""
        deadline = time.monotonic() + patience
        while self.drain(0.05):
            assert time.monotonic() < deadline, f"it goes on:\n{self.text[-2000:]}"
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self.exit_code = code if code >= 0 else 128 - code
        return self.exit_code

    def cooked(self) -> bool:
        """Whether the terminal echoes and edits lines again, as a shell wants it."""
        local = termios.tcgetattr(self._fd)[3]
        return bool(local & termios.ICANON and local & termios.ECHO)

    _mark = 0

    def _seen(self) -> bytes:
        return self.raw[self._mark :]

    def drain(self, wait: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], wait)
        if not ready:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            return False
        self.raw += data
        return bool(data)
