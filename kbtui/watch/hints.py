"""Hints from the operating system that something in a folder has changed.

Only hints: watchfiles loses events without a word (files in folders that are new, full queues),
and a name that is not UTF-8 ends it. What is true, a scan says.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Final, TypeAlias


class HintsFailed(Exception):
    """There are no hints any more; the text says why, as a part of a sentence."""


HintSource: TypeAlias = Callable[[Path], AsyncGenerator[None, None]]
"""Yields once when changes are looked out for from then on, and then at changes. Does not end by
itself but by an exception that says why, as HintsFailed does."""

STEP_MS: Final = 100
DEBOUNCE_MS: Final = 1000
QUIET_MS: Final = 1000
CLOSING_SECONDS: Final = 2.0

LIMIT_ADVICE: Final = (
    "the system's limit of watched folders is reached "
    "(raise it with: sysctl fs.inotify.max_user_watches=524288)"
)


async def file_hints(root: Path) -> AsyncGenerator[None, None]:
    """The real source. One thread, which lives as long as this generator: setting up the watch of
    a large tree takes a while, and must not hold up the event loop."""
    loop = asyncio.get_running_loop()
    news = asyncio.Event()
    stop = threading.Event()
    ended: asyncio.Future[BaseException | None] = loop.create_future()

    def end(error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(error)
        news.set()

    def watch() -> None:
        error: BaseException | None = None
        try:
            _watch(root, stop, lambda: _post(loop, news.set))
        except BaseException as caught:  # noqa: BLE001 - a panic in Rust is none of Exception's
            error = caught
        _post(loop, end, error)

    threading.Thread(target=watch, name=f"watch {root}", daemon=True).start()
    try:
        while True:
            await news.wait()
            news.clear()
            if ended.done():
                break
            yield
        error = ended.result()
        raise HintsFailed(_reason(error)) from error
    finally:
        stop.set()
        await asyncio.wait({ended}, timeout=CLOSING_SECONDS)


def _reason(error: BaseException | None) -> str:
    if isinstance(error, OSError) and "limit reached" in str(error):
        return LIMIT_ADVICE
    said = "they ended" if error is None else str(error) or type(error).__name__
    return f"the system's file events failed: {said}"


def _watch(root: Path, stop: threading.Event, hint: Callable[[], None]) -> None:
    try:
        _watch_with(root, stop, hint, ignore_permission_denied=False)
    except PermissionError:
        # Only now: with this, watchfiles says nothing of a reached limit either.
        _watch_with(root, stop, hint, ignore_permission_denied=True)


def _watch_with(
    root: Path, stop: threading.Event, hint: Callable[[], None], *, ignore_permission_denied: bool
) -> None:
    from watchfiles import watch

    batches = watch(
        root,
        watch_filter=None,
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        rust_timeout=QUIET_MS,
        yield_on_timeout=True,
        stop_event=stop,
        ignore_permission_denied=ignore_permission_denied,
    )
    first = True
    for changes in batches:
        # The first batch, be it empty, says that the watch has been set up.
        if changes or first:
            hint()
        first = False


def _post(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: object) -> None:
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        return  # the loop is closed: nobody listens any more
