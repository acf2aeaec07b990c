"""Our own keepalive: a ping every interval, its latency, and the end of a link that is dead."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from kbtui.connection.transport import LinkClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from kbtui.connection.endpoint import Timeouts
    from kbtui.connection.transport import Link

LATE_TIMER: Final = 0.05
"""A timer that fires this many seconds late means that our own loop stood still."""
GRACE: Final = 0.25
"""What a pong is then given to be read, in seconds."""
CLOCK_JUMP: Final = 5.0
"""A difference between wall and monotonic clock that means a suspend, in seconds."""
CLOCK_CHECK: Final = 4.0
"""How often the clocks are compared, in seconds."""
STOPPED: Final = CLOCK_JUMP - CLOCK_CHECK
"""A comparison this many seconds late means that the process stood still (SIGSTOP): after any
stop of CLOCK_JUMP seconds it is, wherever between two comparisons the stop began."""


class Heartbeat:
    """Pings `link` until it is closed, and aborts it when a pong stays away.

    The first ping leaves at once, so that the latency shows early. After a jump of the wall clock
    or a standstill of the process, as after `probe`, a pong has the short probe timeout only.
    `missed` is the timeout in seconds
    that a pong did not meet, None so far.
    """

    def __init__(
        self,
        link: Link,
        timeouts: Timeouts,
        on_pong: Callable[[float], None],
        wall: Callable[[], float],
    ) -> None:
        self.missed: float | None = None
        self._link = link
        self._timeouts = timeouts
        self._on_pong = on_pong
        self._wall = wall
        self._loop = asyncio.get_running_loop()
        self._doubt = asyncio.Event()
        self._deadline: asyncio.TimerHandle | None = None
        self._clock_check: asyncio.TimerHandle | None = None

    def probe(self) -> None:
        """There is reason to doubt the link: a pong must come within `timeouts.probe`."""
        if self._deadline is None:
            self._doubt.set()
        elif self._deadline.when() > self._loop.time() + self._timeouts.probe:
            self._expect_pong(self._timeouts.probe)

    async def run(self) -> None:
        """Return once the link is closed, by whichever side."""
        self._watch_clocks()
        try:
            while True:
                doubtful = self._doubt.is_set()
                self._doubt.clear()
                self._expect_pong(self._timeouts.probe if doubtful else self._timeouts.ping_timeout)
                latency = await self._link.ping()
                self._disarm()
                self._on_pong(latency)
                await self._rest()
        except LinkClosed:
            return
        finally:
            self._disarm()
            if self._clock_check is not None:
                self._clock_check.cancel()

    def _expect_pong(self, limit: float) -> None:
        self._disarm()
        at = self._loop.time() + limit
        self._deadline = self._loop.call_at(at, self._timed_out, at, limit)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _timed_out(self, at: float, limit: float) -> None:
        now = self._loop.time()
        if now - at > LATE_TIMER:
            # The pong may lie unread in the socket: it is our loop that stood still.
            at = now + GRACE
            self._deadline = self._loop.call_at(at, self._give_up, limit)
        else:
            self._give_up(limit)

    def _give_up(self, limit: float) -> None:
        self.missed = limit
        self._link.abort()

    async def _rest(self) -> None:
        """Wait for the next ping's time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeouts.ping_interval):
                await self._doubt.wait()

    def _watch_clocks(self) -> None:
        ahead = self._wall() - self._loop.time()
        at = self._loop.time() + CLOCK_CHECK
        self._clock_check = self._loop.call_at(at, self._compare_clocks, at, ahead)

    def _compare_clocks(self, at: float, ahead: float) -> None:
        now = self._loop.time()
        if abs(self._wall() - now - ahead) > CLOCK_JUMP or now - at > STOPPED:
            self.probe()
        self._watch_clocks()
