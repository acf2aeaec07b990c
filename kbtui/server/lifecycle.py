"""The server's life in its data folder: one server a folder, announced, gone when unneeded."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from kbtui.protocol.announcement import (
    ANNOUNCEMENT_FILE,
    SERVER_LOCK_FILE,
    Announcement,
    encode_announcement,
)

PROBE_SECONDS: Final = 0.5
"""Longer than a client's look at the lock; a server that lives holds it for longer."""


class AlreadyRunning(Exception):
    """Another server holds the data folder; the text says which."""


class DataFolder:
    """Exclusive use of a data folder, from `claim` to `release`.

    The lock is the kernel's (flock): it ends with the process, however that ends. The announcement
    is written whole or not at all, readable by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    def claim(self) -> None:
        """Take the folder. Raises AlreadyRunning where a living server has it."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (self.path / SERVER_LOCK_FILE).open("w")
        deadline = time.monotonic() + PROBE_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                # A client that looks whether a server lives holds the lock for a moment.
                if time.monotonic() < deadline:
                    time.sleep(PROBE_SECONDS / 10)
                    continue
                lock.close()
                raise AlreadyRunning(
                    f"another kbtui server is using {self.path}; stop it or give another --data"
                ) from None
            self._lock = lock
            return

    def announce(self, announcement: Announcement) -> None:
        """Tell this user's clients where the server is."""
        target = self.path / ANNOUNCEMENT_FILE
        temporary = target.with_suffix(".tmp")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encode_announcement(announcement))
        temporary.replace(target)

    def release(self) -> None:
        """Withdraw the announcement and give the folder up."""
        if self._lock is not None:
            (self.path / ANNOUNCEMENT_FILE).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None


async def wait_until_unneeded(
    in_use: Callable[[], bool],
    changed: asyncio.Event,
    *,
    grace: float,
    first_grace: float,
) -> None:
    """Return once `in_use` has been false for `grace` seconds on end.

    Before the first use the wait is `first_grace` seconds: whoever started the server needs some
    time to connect. `changed` is set by the server whenever the answer of `in_use` may differ.
    """
    patience = first_grace
    while True:
        changed.clear()
        if in_use():
            patience = grace
            await changed.wait()
            continue
        try:
            async with asyncio.timeout(patience):
                await changed.wait()
        except TimeoutError:
            if not in_use():
                return
