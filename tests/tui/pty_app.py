"""The app with a scripted backend, for tests that need a real terminal and a real process."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from kbtui.tui.run import run_tui
from tests.tui.scripted import Clock, ScriptedBackend


class RealClock(Clock):
    def __call__(self) -> float:
        return time.time()


class Backend(ScriptedBackend):
    """Does what the first argument says when it is started; notes in a file that it was closed."""

    def __init__(self, mode: str, notes: Path) -> None:
        super().__init__(RealClock())
        self.mode, self.notes = mode, notes

    async def start(self) -> None:
        if self.mode == "slow":
            await asyncio.Event().wait()
        if self.mode == "refuses":
            raise RuntimeError("The journal is held by another [instance].")
        self.connect()
        self.job("a", "a.pdf")
        if self.mode == "crash":
            secret_token = "hunter" + "2"
            self.store.documents["a"].name = secret_token and None  # type: ignore[assignment]

    async def aclose(self) -> None:
        self.notes.write_text("closed")


if __name__ == "__main__":
    mode, notes, *paths = sys.argv[1:]
    backend = Backend(mode, Path(notes))
    sys.exit(asyncio.run(run_tui(backend, [Path(path) for path in paths])))
