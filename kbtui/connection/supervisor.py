"""Keeps one connection alive: attempts, backoff, the state and its transitions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Protocol

from kbtui.connection.classify import Failure, FailureKind, Fatal, History, classify
from kbtui.connection.errors import ServiceClosed
from kbtui.connection.events import StateChanged
from kbtui.connection.failures import failure_of
from kbtui.connection.session import Session
from kbtui.connection.states import TRANSITIONS, ConnectionState, Mode

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from kbtui.connection.backoff import Backoff
    from kbtui.connection.endpoint import EndpointSource, Timeouts
    from kbtui.connection.transport import Opener
    from kbtui.protocol.messages import Message

S = ConnectionState

log = logging.getLogger("kbtui.connection")


class Owner(Protocol):
    """Whom the supervisor reports to; nothing here may raise or wait."""

    def state_changed(self, event: StateChanged) -> None:
        """After every transition."""

    def message_arrived(self, session: Session, message: Message) -> None:
        """For every frame, in order."""

    def pong_arrived(self, session: Session, seconds: float) -> None:
        """For every pong."""

    def server_quiet(self, session: Session, seconds: float) -> None:
        """Once for every silence of that length, requests out or not."""

    def session_lost(self, session: Session, failure: Failure) -> None:
        """Once for every session, at the moment its link is found to be gone."""


class Supervisor:
    """The only place that opens sockets and changes the state.

    `session` is the live connection, None while there is none. `epoch` counts them.
    """

    def __init__(
        self,
        owner: Owner,
        source: EndpointSource,
        opener: Opener,
        timeouts: Timeouts,
        backoff: Backoff,
        random: Random,
        wall: Callable[[], float],
    ) -> None:
        self.state = S.DISCONNECTED
        self.reason: str | None = None
        self.mode: Mode | None = None
        self.epoch = 0
        self.url: str | None = None
        self.session: Session | None = None
        self._owner = owner
        self._source = source
        self._opener = opener
        self._timeouts = timeouts
        self._backoff = backoff
        self._random = random
        self._wall = wall
        self._history = History()
        self._tries = 0
        self._waits = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin connecting unless that is under way; raises ServiceClosed."""
        if self.state in (S.DRAINING, S.CLOSING, S.CLOSED):
            raise ServiceClosed
        if self.state not in (S.DISCONNECTED, S.FAILED):
            return
        self._history = History()
        self._tries, self._waits = 1, 0
        self.transition(S.CONNECTING)
        self._task = asyncio.create_task(self._run(), name="kbtui-connection")

    def wake(self) -> None:
        """Make the next attempt now instead of waiting for it."""
        self._wake.set()

    def transition(
        self, state: ConnectionState, *, reason: str | None = None, retry_in: float | None = None
    ) -> None:
        """Take a legal step and report it."""
        previous = self.state
        if state not in TRANSITIONS[previous]:
            raise RuntimeError(f"the connection cannot go from {previous} to {state}")
        self.state = state
        if reason is not None or state is S.CONNECTED:
            self.reason = reason
        level = logging.DEBUG if state is previous and retry_in is None else logging.INFO
        log.log(
            level,
            "%s -> %s (connection %d, attempt %d, %s%s)%s",
            previous,
            state,
            self.epoch,
            self._tries,
            self.url,
            f", {self.mode}" if state is S.CONNECTED else "",
            _because(reason, retry_in),
        )
        self._owner.state_changed(
            StateChanged(
                state=state,
                previous=previous,
                epoch=self.epoch,
                mode=self.mode,
                url=self.url,
                reason=reason,
                attempt=self._tries,
                retry_in=retry_in,
            )
        )

    async def stop(self) -> None:
        """End the task and free the socket at once; the state is the caller's affair."""
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})

    async def _run(self) -> None:
        try:
            while (delay := await self._connect_once()) is not None:
                await self._pause(delay)
                self._tries += 1
                self.transition(self._trying, reason=self.reason)
        except Exception as error:
            log.exception("the connection's supervisor broke")
            if S.FAILED in TRANSITIONS[self.state]:
                self.transition(S.FAILED, reason=f"kbtui has a fault here, see the log: {error!r}")

    async def _connect_once(self) -> float | None:
        """One attempt and, where it succeeds, the whole life of its session.

        Returns the seconds to wait before the next attempt, None where there is to be none.
        """
        opened = await self._open()
        if isinstance(opened, Failure):
            return self._settle(opened)
        try:
            failure = await opened.read()
            return self._settle(failure)
        finally:
            if self.session is opened:  # cancelled while it was alive
                self._lose(opened, Failure(FailureKind.CLOSED, "closed by kbtui", 1000))
            await opened.dispose()

    async def _open(self) -> Session | Failure:
        timeouts = self._timeouts
        try:
            # A source that starts a server takes longer than an attempt at a socket may.
            async with asyncio.timeout(timeouts.connect):
                endpoint = await self._source()
            self.url = endpoint.public_url
            async with asyncio.timeout(timeouts.attempt):
                link = await self._opener(endpoint, timeouts)
        except Exception as error:
            failure = failure_of(error)
            if failure.kind is FailureKind.INTERNAL:
                log.exception("unexpected failure to connect")
            return failure
        self.epoch += 1
        self.session = session = Session(
            self.epoch,
            link,
            timeouts,
            on_message=self._owner.message_arrived,
            on_pong=self._owner.pong_arrived,
            on_quiet=self._owner.server_quiet,
            wall=self._wall,
        )
        self.mode = session.mode
        self._history = self._history.connected()
        self._tries = 0
        self.transition(S.CONNECTED)
        return session

    def _settle(self, failure: Failure) -> float | None:
        """Decide what follows `failure`; see `_connect_once` for the result."""
        if self.session is not None:
            self._lose(self.session, failure)
        if self.state in (S.DRAINING, S.CLOSING):
            return None
        self._history = self._history.after(failure, asyncio.get_running_loop().time())
        verdict = classify(failure, self._history)
        if isinstance(verdict, Fatal):
            self.transition(S.FAILED, reason=verdict.sentence)
            return None
        delay = verdict.delay(self._backoff.delay(self._waits, self._random), self._random)
        self._waits += 1
        self._wake.clear()
        self.transition(self._trying, reason=failure.detail, retry_in=delay)
        return delay

    def _lose(self, session: Session, failure: Failure) -> None:
        self.session = None
        if session.proved_stable:
            self._waits = 0
        self._owner.session_lost(session, failure)

    @property
    def _trying(self) -> ConnectionState:
        return S.RECONNECTING if self._history.ever_connected else S.CONNECTING

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()


def _because(reason: str | None, retry_in: float | None) -> str:
    why = f": {reason}" if reason else ""
    return why if retry_in is None else f"{why}; next attempt in {retry_in:.2f} s"
