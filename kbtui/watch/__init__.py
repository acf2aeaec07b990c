"""Watched folders: what is on disk, and when a file has settled."""

from kbtui.watch.roots import RootBusy, RootLocks, WatchError, check_roots
from kbtui.watch.status import RootStatus, WatchMode, WatchPolicy
from kbtui.watch.watcher import Watcher

__all__ = [
    "RootBusy",
    "RootLocks",
    "RootStatus",
    "WatchError",
    "WatchMode",
    "WatchPolicy",
    "Watcher",
    "check_roots",
]
