"""Watched folders as the engine runs them: checked, locked, and their news told in sentences."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from kbtui.watch import (
    RootLocks,
    RootStatus,
    Watcher,
    WatchMode,
    WatchPolicy,
    check_roots,
)
from kbtui.watch.root import OnReady

log = logging.getLogger(__name__)

Tell: TypeAlias = Callable[[str, str], object]
"""Takes a level ("info", "warning") and a sentence."""

MOST_TOLD: Final = 20
"""Problems of one look that are told one by one."""


class FolderWatch:
    """The watched folders of an engine."""

    def __init__(
        self,
        roots: Sequence[Path],
        locks: Path,
        on_ready: OnReady,
        policy: WatchPolicy,
        tell: Tell,
    ) -> None:
        """Check and lock the folders; `locks` is where the locks go. Blocks. Raises WatchError."""
        checked = check_roots(roots)
        self._locks = RootLocks(locks, checked)
        self._locks.__enter__()
        self._tell = tell
        self._told = {root: RootStatus(root) for root in checked}
        self._watcher = Watcher(checked, on_ready, policy=policy, on_status=self._on_status)
        self._task: asyncio.Task[None] | None = None

    @property
    def status(self) -> tuple[RootStatus, ...]:
        """How each folder is doing."""
        return self._watcher.status

    def start(self) -> None:
        """Watch from now on, in the running event loop."""
        self._task = asyncio.create_task(self._watcher.run(), name="watched folders")

    async def aclose(self) -> None:
        """Stop watching and let go of the folders."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._locks.__exit__()

    def _on_status(self, status: RootStatus) -> None:
        for level, text in news(self._told[status.root], status):
            log.log(logging.WARNING if level == "warning" else logging.INFO, "%s", text)
            self._tell(level, text)
        self._told[status.root] = status


def news(before: RootStatus, after: RootStatus) -> list[tuple[str, str]]:
    """What is worth telling of a folder's new status: (level, sentence) each."""
    root = after.root
    told: list[tuple[str, str]] = []
    back = before.mode is WatchMode.OFFLINE and after.mode is not WatchMode.OFFLINE
    if after.mode is WatchMode.OFFLINE and before.mode is not WatchMode.OFFLINE:
        told.append(("warning", f"{root}: cannot be read ({after.reason}); waiting for it"))
    elif after.last_reconcile is not None and (before.last_reconcile is None or back):
        documents = "document" if after.files == 1 else "documents"
        told.append(("info", f"{root}: watching, {after.files} {documents} there"))
    if after.mode is WatchMode.POLLING and after.reason != before.reason:
        told.append(("warning", f"{root}: {after.reason}; scanning more often instead"))
    if after.error is not None and after.error != before.error:
        told.append(("warning", f"{root}: {after.error}; trying again"))
    known = {*before.problems, *before.blocked_by}
    fresh = [item for item in (*after.problems, *after.blocked_by) if item not in known]
    told += [("warning", f"{root / item.path}: {item.reason}") for item in fresh[:MOST_TOLD]]
    if len(fresh) > MOST_TOLD:
        told.append(("warning", f"{root}: {len(fresh) - MOST_TOLD} more cannot be ingested"))
    return told
