"""The life of one socket: its reader, its heartbeat, its turn on the wire."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from kbtui.connection.classify import Failure, FailureKind
from kbtui.connection.heartbeat import Heartbeat
from kbtui.connection.pending import Turn
from kbtui.connection.states import Mode
from kbtui.protocol.codec import UNKNOWN_KIND, parse_message
from kbtui.protocol.messages import NATIVE_SUBPROTOCOL, Unrecognised

if TYPE_CHECKING:
    from collections.abc import Callable

    from kbtui.connection.endpoint import Timeouts
    from kbtui.connection.transport import Link, LinkClosed
    from kbtui.protocol.messages import Message

GARBAGE_ALLOWED: Final = 100
"""Unreadable frames in a row after which the server is no knowledge base."""
STABLE_SECONDS: Final = 30.0
"""A connection that held this long, with a pong, starts the backoff anew when it is lost."""
LOG_EVERY: Final = 100
"""One message in so many is logged: logging each costs more than handling it."""

log = logging.getLogger("kbtui.connection")


class Session:
    """One open link. `epoch` is its number; `turn` is used in KBV2 mode, where one request at a
    time may be out."""

    def __init__(
        self,
        epoch: int,
        link: Link,
        timeouts: Timeouts,
        *,
        on_message: Callable[[Session, Message], None],
        on_pong: Callable[[Session, float], None],
        on_quiet: Callable[[Session, float], None],
        wall: Callable[[], float],
    ) -> None:
        self.epoch = epoch
        self.link = link
        self.mode = Mode.NATIVE if link.subprotocol == NATIVE_SUBPROTOCOL else Mode.KBV2
        self.turn = Turn()
        self.heartbeat = Heartbeat(link, timeouts, self._ponged, wall)
        self._on_message = on_message
        self._on_pong = on_pong
        self._on_quiet = on_quiet
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._opened = self._stirred = self._now()
        self._quiet = timeouts.quiet
        self._quiet_since: float | None = None  # the silence that was told
        self._quiet_check = self._loop.call_later(self._quiet, self._check_quiet)
        self._ponged_once = False
        self._received = self._garbage = 0
        self._unreadable = False
        self._send_stuck: float | None = None
        self._beating = asyncio.create_task(self.heartbeat.run(), name=f"kbtui-heartbeat-{epoch}")
        self._beating.add_done_callback(self._heartbeat_ended)

    @property
    def proved_stable(self) -> bool:
        """True once the backoff may start anew after this connection."""
        held = self._now() - self._opened
        return self._ponged_once and held >= STABLE_SECONDS

    async def read(self) -> Failure:
        """Hand on every message until the link ends; returns why it did."""
        return self._why(await self.link.receive(self._receive))

    def asked(self) -> None:
        """A request is about to be sent: the silence before it does not count."""
        self._stirred = self._now()

    def give_up_sending(self, limit: float) -> None:
        """A message could not be written within `limit` seconds: nothing written after it may
        arrive either."""
        self._send_stuck = limit
        self.link.abort()

    async def dispose(self) -> None:
        """Free the socket and the heartbeat. The link is aborted unless it is closed already."""
        self.link.abort()
        self._quiet_check.cancel()
        self._beating.cancel()
        await asyncio.wait({self._beating})
        await self.link.wait_closed()

    def _receive(self, raw: str | bytes) -> None:
        if self._unreadable:
            return  # what was read before the abort took effect
        message = parse_message(raw)
        if self._received % LOG_EVERY == 0:
            log.debug("message %d of connection %d: %.200r", self._received, self.epoch, raw)
        self._received += 1
        self._stirred = self._now()
        if type(message) is not Unrecognised or message.reason == UNKNOWN_KIND:
            self._garbage = 0
        else:
            self._garbage += 1
            if self._garbage == GARBAGE_ALLOWED:
                self._unreadable = True
                self.link.abort()
        self._on_message(self, message)

    def _check_quiet(self) -> None:
        # No pong for so long would have ended the link: it is the server's own silence.
        now = self._now()
        due = self._stirred + self._quiet
        if now >= due:
            if self._quiet_since != self._stirred:
                self._quiet_since = self._stirred
                self._on_quiet(self, self._quiet)
            due = now + self._quiet
        self._quiet_check = self._loop.call_at(due, self._check_quiet)

    def _heartbeat_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the heartbeat broke; the connection is given up", exc_info=error)
            self.link.abort()

    def _ponged(self, seconds: float) -> None:
        self._ponged_once = True
        self._on_pong(self, seconds)

    def _why(self, closed: LinkClosed) -> Failure:
        if self._unreadable:
            return Failure(
                FailureKind.GARBAGE, f"{GARBAGE_ALLOWED} unreadable frames in a row", closed.code
            )
        if self.heartbeat.missed is not None:
            return Failure(
                FailureKind.NO_PONG,
                f"the server answered no ping for {self.heartbeat.missed:g} s",
                closed.code,
            )
        if self._send_stuck is not None:
            return Failure(
                FailureKind.SEND_STUCK,
                f"the network took no data for {self._send_stuck:g} s",
                closed.code,
            )
        return Failure(FailureKind.CLOSED, str(closed), closed.code)
