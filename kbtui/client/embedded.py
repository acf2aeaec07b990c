"""Finds this user's running embedded server, or starts one and waits until it is healthy."""

from __future__ import annotations

import asyncio
import fcntl
import http.client
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from kbtui.connection import ConnectError, Endpoint, FatalConnectError
from kbtui.paths import Paths
from kbtui.protocol.announcement import (
    ANNOUNCEMENT_FILE,
    SERVER_LOCK_FILE,
    Announcement,
    decode_announcement,
)

log = logging.getLogger(__name__)

START_SECONDS: Final = 30.0
"""The longest a server may take until it is healthy; measured: under 1 s."""

IDLE_EXIT_SECONDS: Final = 10
"""How long the server stays when its last client has gone and nothing runs."""

POLL_SECONDS: Final = 0.05
MAX_LOG_BYTES: Final = 5_000_000
SERVER_LOG: Final = "server.log"
LAUNCH_LOCK: Final = "launch.lock"


class EmbeddedServer:
    """An endpoint source: asked before each attempt to connect, it makes sure that a server runs.

    Servers outlive the kbtui that started them: a second kbtui shares them, and one whose clients
    have all gone ends by itself. So there is nothing to stop here.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    async def __call__(self) -> Endpoint:
        """Where the server is. Raises ConnectError or FatalConnectError with a sentence."""
        given_up = threading.Event()
        try:
            return await asyncio.to_thread(self._find_or_start, given_up)
        except asyncio.CancelledError:
            given_up.set()
            raise

    def _find_or_start(self, given_up: threading.Event) -> Endpoint:
        announcement = self._running()
        if announcement is None:
            self._paths.make()
            # Of two that start at the same time, the second finds the first one's server.
            with (self._paths.data / LAUNCH_LOCK).open("w") as lock:
                _wait_for_lock(lock, given_up)
                announcement = self._running() or self._start(given_up)
        return Endpoint(announcement.url, announcement.token or None)

    def _running(self) -> Announcement | None:
        """The announcement of a server that lives and answers; None where there is none."""
        try:
            announcement = decode_announcement((self._paths.data / ANNOUNCEMENT_FILE).read_bytes())
        except OSError:
            return None
        if announcement is None or not is_locked(self._paths.data / SERVER_LOCK_FILE):
            return None
        return announcement if _healthy(announcement.url) else None

    def _start(self, given_up: threading.Event) -> Announcement:
        log_folder = self._paths.log
        if not os.access(log_folder, os.W_OK | os.X_OK):
            log_folder = self._paths.data
        log_path = log_folder / SERVER_LOG
        mode = "wb" if log_path.exists() and log_path.stat().st_size > MAX_LOG_BYTES else "ab"
        command = [
            # -P: no module is taken from the folder that kbtui happens to be called in.
            *(sys.executable, "-P", "-m", "kbtui", "serve"),
            *("--private", "--port", "0", "--root", "/"),
            *("--data", str(self._paths.data), "--idle-exit", str(IDLE_EXIT_SECONDS)),
        ]
        with log_path.open(mode) as log_file:
            # A session of its own: a Ctrl+C meant for us must not stop what others may share.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                cwd=self._paths.data,
                start_new_session=True,
            )
        log.info("started the embedded server, process %d", process.pid)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not given_up.wait(POLL_SECONDS):
            announcement = self._running()
            if announcement is not None:
                return announcement
            if process.poll() is not None:
                raise self._failure(process.returncode, log_path)
        process.kill()
        process.wait()
        raise ConnectError(
            f"the embedded server did not become healthy within {START_SECONDS:g} s; see {log_path}"
        )

    def _failure(self, code: int, log_path: Path) -> ConnectError | FatalConnectError:
        said = _last_line(log_path) or f"it exited with code {code}"
        text = f"the embedded server could not start: {said.removeprefix('kbtui: ')}"
        # 2: it cannot run as it is set up (a missing library, say). Trying again changes nothing.
        return FatalConnectError(text) if code == 2 else ConnectError(text)


def _wait_for_lock(lock: IO[str], given_up: threading.Event) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline or given_up.wait(POLL_SECONDS):
                raise ConnectError("another kbtui is still starting the embedded server") from None
        else:
            return


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock (flock) on a file."""
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _healthy(url: str) -> bool:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2.0)
    try:
        connection.request("GET", "/health")
        return bool(json.load(connection.getresponse()).get("status") == "healthy")
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_line(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return next((line.strip() for line in reversed(deque(file, 20)) if line.strip()), "")
