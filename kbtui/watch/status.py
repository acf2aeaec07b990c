"""How a watched folder is doing, as the screens show it, and how it is to be watched."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from kbtui.watch.scan import Problem
from kbtui.watch.settle import DEFAULT_SETTLE

MAX_BLOCKED: Final = 100


class WatchMode(StrEnum):
    """How changes are noticed."""

    STARTING = "starting"
    EVENTS = "events"
    """The system's hints, and a scan now and then."""
    POLLING = "polling"
    """Scans only."""
    OFFLINE = "offline"
    """The folder itself cannot be read; it is looked for."""


@dataclass(frozen=True, slots=True)
class RootStatus:
    """One watched folder. Times are epoch seconds, None for never.

    `files`: candidates there, `handed_over` of them as they are now; `settling` are waiting to stay
    as they are for long enough, `empty` for content; `blocked` cannot be read. `blocked_by` holds
    the first MAX_BLOCKED of these. `reason` says why the mode is polling or offline, `error` why
    settled files could not be handed over.
    """

    root: Path
    mode: WatchMode = WatchMode.STARTING
    reason: str | None = None
    error: str | None = None
    files: int = 0
    handed_over: int = 0
    settling: int = 0
    empty: int = 0
    blocked: int = 0
    blocked_by: tuple[Problem, ...] = ()
    passed_over: tuple[tuple[str, int], ...] = ()
    problems: tuple[Problem, ...] = ()
    problem_count: int = 0
    last_event: float | None = None
    last_reconcile: float | None = None


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """Times in seconds.

    `settle`: how long a file must stay as it is. `quiet`: how long after the last event a scan
    begins, `patience` after the first where they do not cease. `interval`: the longest between two
    scans; `poll` while there are no events. `share`: the most of the time that scans may take,
    whatever `patience` and `poll` say.
    """

    settle: float = DEFAULT_SETTLE
    quiet: float = 1.0
    patience: float = 5.0
    interval: float = 60.0
    poll: float = 5.0
    share: float = 0.05
