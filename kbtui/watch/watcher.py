"""Watches several folders at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from kbtui.watch.hints import HintSource, file_hints
from kbtui.watch.root import Offload, OnReady, RootWatcher
from kbtui.watch.status import RootStatus, WatchPolicy


class Watcher:
    """Hands over each file in the folders once it has settled, and again whenever it has changed.

    Events are only hints; scans are the truth: at the start, when events have gone quiet, and
    every minute. So whatever is on disk and stays as it is, is handed over. Time is the event
    loop's. `roots` are absolute and do not overlap (see `check_roots`).
    """

    def __init__(
        self,
        roots: Sequence[Path],
        on_ready: OnReady,
        *,
        policy: WatchPolicy | None = None,
        on_status: Callable[[RootStatus], None] = lambda _: None,
        source: HintSource = file_hints,
        offload: Offload = asyncio.to_thread,
    ) -> None:
        """`on_status` hears what a look at a folder has found; `status` has the latest always."""
        self._watchers = [
            RootWatcher(
                root,
                on_ready,
                policy or WatchPolicy(),
                on_status=on_status,
                source=source,
                offload=offload,
            )
            for root in roots
        ]

    @property
    def status(self) -> tuple[RootStatus, ...]:
        """How each folder is doing, in the order given."""
        return tuple(watcher.status for watcher in self._watchers)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for watcher in self._watchers:
                tasks.create_task(watcher.run(), name="watch")
