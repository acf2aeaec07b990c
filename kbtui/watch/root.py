"""Watches one folder: scans it when a hint or the time says so, hands over what has settled."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from kbtui.watch.hints import HintSource
from kbtui.watch.reconcile import Difference, reconcile, vanished
from kbtui.watch.scan import Look, Problem, Scan, look_at, scan, unreadable
from kbtui.watch.settle import Settling, Signature
from kbtui.watch.status import MAX_BLOCKED, RootStatus, WatchMode, WatchPolicy

log = logging.getLogger(__name__)

OnReady: TypeAlias = Callable[[Path, Sequence[Path]], Awaitable[Collection[Path]]]
"""Takes settled files of a root; returns those it has taken. The others, and all where it raises,
are offered again after the next scan."""

BATCH: Final = 500
"""Files handed over at once, so that a large folder fills the queue bit by bit."""

RESTART_FIRST, RESTART_LONGEST = 1.0, 60.0
"""Seconds before the hints are asked for again, doubled at each failure, and at most."""


class Offload(Protocol):
    """Runs a blocking function elsewhere; `asyncio.to_thread`, or a test's own."""

    def __call__(self, work: Callable[..., Any], /, *args: Any) -> Awaitable[Any]:
        """What `work` returns."""


class RootWatcher:
    """One folder. `run` it as a task; cancelling the task ends it.

    What was handed over is remembered, by path and signature, for as long as this lives. After a
    restart everything is offered again: the server, or the journal, knows the content by its hash
    and skips it, so that this costs a reading of the file and nothing else.
    """

    def __init__(
        self,
        root: Path,
        on_ready: OnReady,
        policy: WatchPolicy,
        *,
        on_status: Callable[[RootStatus], None],
        source: HintSource,
        offload: Offload,
    ) -> None:
        self._root = root
        self._on_ready = on_ready
        self._policy = policy
        self._on_status = on_status
        self._source = source
        self._offload = offload
        self.status = RootStatus(root)
        self._handed_over: dict[str, Signature] = {}
        self._settling: dict[str, Settling] = {}
        self._held: dict[str, str | None] = {}
        """Settled files that nobody took, with the reason where they cannot be read."""
        self._root_id: tuple[int, int] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._hints = WatchMode.STARTING
        self._no_hints_because: str | None = None
        self._offline: str | None = None
        self._woken = asyncio.Event()
        self._first_hint: float | None = None
        self._last_hint: float | None = None
        self._scanned_at = -math.inf
        self._scan_took = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        self._listen()
        try:
            while True:
                try:
                    await self._reconcile()
                    await self._wait()
                except Exception as error:
                    # Whatever went wrong this time, the next time it may go well.
                    log.exception("watching %s", self._root)
                    self._publish(error=str(error) or type(error).__name__)
                    await asyncio.sleep(self._policy.poll)
        finally:
            await self._stop_listening()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # When to look

    async def _wait(self) -> None:
        """Return when the next scan is due; look at settling files meanwhile."""
        while True:
            now, scan_at, look_at_time = self._now(), self._scan_due(), self._look_due()
            if now >= scan_at:
                return
            if now >= look_at_time:
                await self._look_again(now)
                continue
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(scan_at, look_at_time)):
                    await self._woken.wait()

    def _scan_due(self) -> float:
        enough = self._scan_took / self._policy.share
        without_events = self.status.mode is not WatchMode.EVENTS
        interval = max(self._policy.poll, enough) if without_events else self._policy.interval
        due = self._scanned_at + interval
        if self._first_hint is not None and self._last_hint is not None:
            patience = self._first_hint + max(self._policy.patience, enough)
            due = min(due, self._last_hint + self._policy.quiet, patience)
        return due

    def _look_due(self) -> float:
        return min((self._settling[name].due(self._policy.settle) for name in self._gated()),
                   default=math.inf)  # fmt: skip

    def _gated(self) -> Iterator[str]:
        """The files that only time keeps from being handed over."""
        for name, settling in self._settling.items():
            if settling.signature.size and name not in self._held:
                yield name

    # Hints

    def _listen(self) -> None:
        self._listening = asyncio.create_task(self._take_hints(), name=f"hints {self._root}")

    async def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})

    async def _take_hints(self) -> None:
        delay = RESTART_FIRST
        while True:
            began = self._now()
            try:
                async with aclosing(self._source(self._root)) as hints:
                    async for _ in hints:
                        self._set_mode(WatchMode.EVENTS, None)
                        self._hinted()
            except Exception as failed:  # noqa: BLE001 - without hints we scan more often
                log.info("no file events for %s: %s", self._root, failed)
                self._set_mode(WatchMode.POLLING, str(failed))
            self._hinted()  # what came with the failure is lost
            if self._now() - began > RESTART_LONGEST:
                delay = RESTART_FIRST
            await asyncio.sleep(delay)
            delay = min(2 * delay, RESTART_LONGEST)

    def _set_mode(self, mode: WatchMode, reason: str | None) -> None:
        if (mode, reason) != (self._hints, self._no_hints_because):
            self._hints, self._no_hints_because = mode, reason
            self._publish()

    def _hinted(self) -> None:
        self._last_hint = self._now()
        if self._first_hint is None:
            self._first_hint = self._last_hint
        self.status = replace(self.status, last_event=time.time())
        self._woken.set()

    # Looking

    async def _reconcile(self) -> None:
        self._first_hint = self._last_hint = None
        found: Scan = await self._offload(scan, self._root, asyncio.get_running_loop().time)
        self._scanned_at = found.look.ended
        self._scan_took = found.look.ended - found.look.began
        if found.root_id != self._root_id and self.status.last_reconcile is not None:
            # Another folder has taken its place, or none: events of the old one mean nothing.
            await self._stop_listening()
            self._listen()
        self._root_id, self._offline = found.root_id, found.offline
        for name in vanished(found, tuple(self._handed_over)):
            del self._handed_over[name]
        self._held.clear()
        before = self._settling
        self._settling = {}
        await self._judge(found.look, before)
        self._publish(
            files=len(found.look.files),
            passed_over=tuple(sorted(found.passed_over.items())),
            problems=found.problems,
            problem_count=found.problem_count,
            last_reconcile=time.time(),
        )

    async def _look_again(self, now: float) -> None:
        """Look at the files whose time has come, and at nothing else."""
        settle = self._policy.settle
        due = [name for name in self._gated() if self._settling[name].due(settle) <= now]
        look: Look = await self._offload(look_at, self._root, due, asyncio.get_running_loop().time)
        before = {name: self._settling.pop(name) for name in due}
        await self._judge(look, before)
        self._publish()

    async def _judge(self, look: Look, before: dict[str, Settling]) -> None:
        difference = reconcile(look, self._handed_over, before, self._policy.settle)
        if difference.new or difference.changed:
            log.debug("%s: %d new, %d changed", self._root, difference.new, difference.changed)
        self._settling.update(difference.settling)
        if difference.ready:
            await self._hand_over(difference)

    async def _hand_over(self, difference: Difference) -> None:
        self._held.update(dict.fromkeys(difference.ready))
        blocked: dict[str, str] = await self._offload(unreadable, self._root, difference.ready)
        self._held.update(blocked)
        ready = [name for name in difference.ready if name not in blocked]
        for start in range(0, len(ready), BATCH):
            names = {self._root / name: name for name in ready[start : start + BATCH]}
            try:
                taken = await self._on_ready(self._root, list(names))
            except Exception as error:
                log.exception("handing over files of %s", self._root)
                self._publish(error=str(error) or type(error).__name__)
                return
            for path in taken:
                name = names[path]
                self._handed_over[name] = difference.settling[name].signature
                del self._held[name], self._settling[name]
            self._publish(error=None)

    # Telling

    def _publish(self, **changes: Any) -> None:
        blocked = [Problem(name, why) for name, why in self._held.items() if why is not None]
        self.status = replace(
            self.status,
            mode=WatchMode.OFFLINE if self._offline else self._hints,
            reason=self._offline or self._no_hints_because,
            handed_over=len(self._handed_over),
            settling=sum(1 for _ in self._gated()),
            empty=sum(1 for settling in self._settling.values() if not settling.signature.size),
            blocked=len(blocked),
            blocked_by=tuple(blocked[:MAX_BLOCKED]),
            **changes,
        )
        self._on_status(self.status)
