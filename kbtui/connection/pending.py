"""The requests that wait for an answer, those that nobody waits for, and the turn to send."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from kbtui.protocol.messages import Response

EXPIRED_KEPT: Final = 1024
EXPIRED_SECONDS: Final = 24 * 3600.0


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Mark the future's error as seen: its caller may have been cancelled in the same moment."""
    if not future.cancelled():
        future.exception()


class Settlement(Enum):
    """What became of an answer."""

    ANSWERED = "answered"
    LATE = "late"
    """It belongs to an expired request."""
    UNKNOWN = "unknown"


class PendingRequests:
    """Requests by id, each with the future of its answer.

    A request whose caller has gone moves to the expired ones, so that its answer is known when it
    comes after all; at most 1,024 are kept, for 24 hours of `clock`.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[str, asyncio.Future[Response]] = {}
        self._expired: OrderedDict[str, float] = OrderedDict()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def expired(self) -> int:
        """How many requests are remembered whose callers have gone."""
        return len(self._expired)

    def register(self, request_id: str) -> asyncio.Future[Response]:
        """Expect an answer to `request_id`; raises ValueError where one is expected already."""
        if request_id in self._waiting:
            raise ValueError(f"a request with the id {request_id!r} is out already")
        self._expired.pop(request_id, None)
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_retrieve)
        self._waiting[request_id] = future
        self._idle.clear()
        return future

    def remove(self, request_id: str) -> None:
        """Forget a request that never left."""
        self._waiting.pop(request_id, None)
        self._note_idle()

    def expire(self, request_id: str) -> None:
        """The caller has gone: whatever answer still comes is a late one."""
        if self._waiting.pop(request_id, None) is None:
            return
        now = self._clock()
        self._expired[request_id] = now
        while self._expired:
            oldest = next(iter(self._expired.values()))
            if len(self._expired) <= EXPIRED_KEPT and now - oldest <= EXPIRED_SECONDS:
                break
            self._expired.popitem(last=False)
        self._note_idle()

    def only(self) -> str | None:
        """The one request that is out, None where there is none or more."""
        return next(iter(self._waiting)) if len(self._waiting) == 1 else None

    def settle(self, response: Response) -> Settlement:
        """Hand `response` to whoever waits for it; of several answers the first wins."""
        request_id = response.id
        if not isinstance(request_id, str):
            return Settlement.UNKNOWN
        future = self._waiting.pop(request_id, None)
        self._note_idle()
        if future is not None and not future.done():
            future.set_result(response)
            return Settlement.ANSWERED
        # A future that is done but registered was cancelled in this very turn of the loop.
        expired = self._expired.pop(request_id, None)
        if expired is None and future is None:
            return Settlement.UNKNOWN
        return Settlement.LATE

    def fail_all(self, error: Callable[[], Exception]) -> None:
        """The connection is gone: every caller gets an `error()`."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(error())
        self._note_idle()

    async def wait_idle(self) -> None:
        """Return once no request waits for an answer."""
        await self._idle.wait()

    def _note_idle(self) -> None:
        if not self._waiting:
            self._idle.set()


class Turn:
    """One holder at a time, in the order of asking; whoever stops waiting leaves no trace."""

    def __init__(self) -> None:
        self._holder: str | None = None
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()
        self._closed: Callable[[], Exception] | None = None

    @property
    def holder(self) -> str | None:
        """Who has the turn."""
        return self._holder

    async def take(self, who: str) -> None:
        """Wait for the turn; raises what `close` was given when the turn will never come."""
        if self._closed is not None:
            raise self._closed()
        if self._holder is None:
            self._holder = who
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        granted.add_done_callback(_retrieve)
        entry = (who, granted)
        self._waiting.append(entry)
        try:
            await granted
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            elif not granted.cancelled() and granted.exception() is None:
                self.release(who)
            raise

    def release(self, who: str | None) -> None:
        """Give the turn to the next in line, if `who` has it."""
        if who is None or self._holder != who:
            return
        self._holder = None
        while self._waiting:
            following, granted = self._waiting.popleft()
            if not granted.done():
                self._holder = following
                granted.set_result(None)
                return

    def close(self, error: Callable[[], Exception]) -> None:
        """Nobody gets the turn any more: those in line are failed with an `error()` each."""
        self._closed = error
        waiting, self._waiting = self._waiting, deque()
        for _, granted in waiting:
            if not granted.done():
                granted.set_exception(error())
