"""Runs the app with the backend around it, in one event loop, and gives the terminal back."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kbtui.state.text import plain
from kbtui.tui.app import KbApp, Severity
from kbtui.tui.backend import Backend
from kbtui.tui.glyphs import Glyphs
from kbtui.tui.text import count

CLOSING_LIMIT: Final = 5.5
"""Seconds: the backend closes within 5; after this it is left to the end of the process."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class TuiOptions:
    """How the app looks. `ascii` draws signs and borders with ASCII characters only."""

    ascii: bool = False


async def run_tui(
    backend: Backend, paths: Sequence[Path], *, options: TuiOptions | None = None
) -> int:
    """Show the app until a person quits; returns the process's exit code.

    0 after a quit, 1 after a crash (the traceback is on stderr, the terminal restored), 128+n
    after a SIGTERM or SIGHUP. `paths` are added once the app is on screen. The backend is started
    after the first paint and closed before this returns, in this event loop.
    """
    app = KbApp(backend, glyphs=Glyphs(ascii=(options or TuiOptions()).ascii))
    with _exit_on_signals(app):
        beginning = asyncio.create_task(_begin(app, backend, paths), name="tui-begin")
        try:
            await app.run_async()
        finally:
            beginning.cancel()
            await asyncio.wait({beginning})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSING_LIMIT):
                    await backend.aclose()
    return app.return_code or 0


async def _begin(app: KbApp, backend: Backend, paths: Sequence[Path]) -> None:
    await app.painted.wait()
    try:
        await backend.start()
        if not paths:
            return
        report = await backend.add(paths)
    except Exception as error:  # noqa: BLE001 - whatever it is, the person in front of it is told
        sentence = plain(str(error) or type(error).__name__, 300)
        backend.store.note("error", sentence)
        app.call_later(lambda: app.say(sentence, severity="error"))
        return
    for path, reason in report.refused:
        backend.store.note("warning", f"not added: {reason}", plain(path))
    text = f"{count(report.queued, 'document')} queued"
    if report.refused:
        text += f", {len(report.refused)} refused: see the log"
    severity: Severity = "warning" if report.refused else "information"
    app.call_later(lambda: app.say(f"{text}.", severity=severity))


@contextlib.contextmanager
def _exit_on_signals(app: KbApp) -> Iterator[None]:
    """SIGTERM and SIGHUP end the app as `q` would; without this they leave a broken terminal."""
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        # A second signal must work even if the app does not: back to the default, which kills.
        loop.remove_signal_handler(number)
        app.exit(return_code=128 + number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
