"""kbtui as real processes: run to the end, or started and ended by the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kbtui.protocol.announcement import ANNOUNCEMENT_FILE, decode_announcement

KBTUI = [sys.executable, "-m", "kbtui"]
PATIENCE = 60.0


def environment(home: Path) -> dict[str, str]:
    """This process's environment with kbtui's files under `home`."""
    return {**os.environ, "KBTUI_HOME": str(home), "PYTHONUNBUFFERED": "1"}


def run_kbtui(
    *arguments: str | Path, home: Path, timeout: float = PATIENCE, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*KBTUI, *map(str, arguments)],
        env=environment(home),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        cwd=cwd,
        check=False,
    )


def start_kbtui(*arguments: str | Path, home: Path, **more: Any) -> subprocess.Popen[str]:
    """Start a command; the caller ends it."""
    return subprocess.Popen(
        [*KBTUI, *map(str, arguments)],
        env=environment(home),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **more,
    )


def events(output: str) -> list[dict[str, Any]]:
    """The objects of a `--json` stream; fails on a line that is none."""
    return [json.loads(line) for line in output.splitlines()]


def last_states(output: str) -> dict[str, dict[str, Any]]:
    """The last job object for each path in a `--json` stream."""
    return {e["path"]: e for e in events(output) if e["event"] == "job"}


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait for something that other processes bring about; returns what was truthy."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"waited {patience:g} s in vain for {what}")


def server_pid(home: Path) -> int | None:
    """The process of the embedded server of `home`, where one is announced."""
    try:
        announcement = decode_announcement((home / "data" / ANNOUNCEMENT_FILE).read_bytes())
    except OSError:
        return None
    return announcement.pid if announcement else None


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return _answers(pid) if not Path("/proc/self").exists() else False
    return state != "Z"


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def own_home(path: Path) -> Iterator[Path]:
    """A folder for kbtui's files whose embedded server is gone when the block ends."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    finally:
        pid = server_pid(path)
        if pid is not None and alive(pid):
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not alive(pid), "the embedded server's end")
