"""Reports of one ingestion's stages, thinned out so that a fast stage does not flood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kbtui.server.records import StageReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from kbtui.server.parsing.messages import Progress

INTERVAL: Final = 0.1
"""Seconds between two reports within a stage; its start, last count and end are always told."""


class Reporter:
    """Tells `report` how one document goes on. `stage` is the one that it is in."""

    def __init__(self, report: Callable[[StageReport], None], clock: Callable[[], float]) -> None:
        self._report = report
        self._clock = clock
        self._quiet_until = 0.0
        self.stage = 0

    def started(self, stage: int, message: str) -> None:
        """A stage begins."""
        self.stage = stage
        self._quiet_until = self._clock() + INTERVAL
        self._report(StageReport(stage, "started", message))

    def progress(self, message: str, current: int, total: int) -> None:
        """The stage has done `current` of `total`."""
        now = self._clock()
        if now >= self._quiet_until or current == total:
            self._quiet_until = now + INTERVAL
            self._report(StageReport(self.stage, "progress", message, current, total))

    def completed(self, message: str, current: int | None = None, total: int | None = None) -> None:
        """The stage ends."""
        self._report(StageReport(self.stage, "completed", message, current, total))

    def parsed(self, progress: Progress) -> None:
        """Passes on what the parser process says; its first word of a stage starts it."""
        if progress.stage != self.stage:
            self.started(progress.stage, progress.message)
        if progress.done:
            self.completed(progress.message, progress.current, progress.total)
        elif progress.current is not None and progress.total is not None:
            self.progress(progress.message, progress.current, progress.total)
