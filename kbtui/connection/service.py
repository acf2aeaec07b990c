"""The connection service: requests and their answers over one connection that comes back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from random import Random
from typing import TYPE_CHECKING, Any, Final

from kbtui.connection.backoff import Backoff
from kbtui.connection.broadcast import Broadcast
from kbtui.connection.endpoint import Endpoint, EndpointSource, Timeouts
from kbtui.connection.errors import (
    ConnectTimeout,
    FatalConnectError,
    NotConnected,
    ServiceClosed,
)
from kbtui.connection.events import (
    FrameDropped,
    LateAnswer,
    LatencyMeasured,
    MessageReceived,
    ServerQuiet,
    StateChanged,
)
from kbtui.connection.exchange import Exchange
from kbtui.connection.pending import Settlement
from kbtui.connection.states import ConnectionState, Mode
from kbtui.connection.supervisor import Supervisor
from kbtui.connection.transport import ABNORMAL, open_websocket
from kbtui.protocol.codec import SAMPLE_BYTES
from kbtui.protocol.messages import ExtractionLog, Progress, Response, Unrecognised

if TYPE_CHECKING:
    from collections.abc import Callable

    from kbtui.connection.broadcast import Listener
    from kbtui.connection.classify import Failure
    from kbtui.connection.session import Session
    from kbtui.connection.transport import Opener
    from kbtui.protocol.messages import Message

S = ConnectionState

_REPORTS: Final = (Progress, ExtractionLog)


class ConnectionService:
    """One connection to a knowledge base, shared by everything in the program.

    Made inside a running event loop; `start` or `connect` sets it going, `aclose` ends it. It
    reconnects by itself until it is closed or a failure is one that trying again does not cure
    (state FAILED). `source` is asked where to connect before every attempt. `transport` opens the
    socket; `random` gives the jitter; `wall` tells the wall clock's seconds, whose jumps mean a
    suspend. Not thread-safe.
    """

    def __init__(
        self,
        source: EndpointSource | Endpoint,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - immutable
        backoff: Backoff = Backoff(),  # noqa: B008 - immutable
        transport: Opener = open_websocket,
        random: Random | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._timeouts = timeouts
        self._broadcast = Broadcast()
        self._exchange = Exchange(timeouts, self._usable_session)
        self._connecting: set[asyncio.Future[None]] = set()
        self._closed: asyncio.Future[None] | None = None
        self._latency: float | None = None
        self._dropped = 0
        self._supervisor = Supervisor(
            self,
            _constant(source) if isinstance(source, Endpoint) else source,
            transport,
            timeouts,
            backoff,
            random or Random(),
            wall,
        )
        if isinstance(source, Endpoint):
            self._supervisor.url = source.public_url

    @property
    def state(self) -> ConnectionState:
        """The state now."""
        return self._supervisor.state

    @property
    def mode(self) -> Mode | None:
        """How the server is spoken to, as of the last connection; None before the first."""
        return self._supervisor.mode

    @property
    def epoch(self) -> int:
        """The number of the present connection, or of the last one; 0 before the first."""
        return self._supervisor.epoch

    @property
    def latency(self) -> float | None:
        """Seconds that the last ping took; None while not connected or not yet measured."""
        return self._latency

    @property
    def url(self) -> str | None:
        """Where the last attempt went, without credentials."""
        return self._supervisor.url

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called with every event from now on; the result ends that.

        Listeners are called from the event loop and must not block. What they raise is logged.
        """
        return self._broadcast.subscribe(listener)

    def start(self) -> None:
        """Begin connecting in the background, also out of FAILED; raises ServiceClosed."""
        self._supervisor.start()

    async def connect(self) -> None:
        """Start, and return once connected.

        Raises ConnectTimeout after `timeouts.connect` seconds (the service goes on trying),
        FatalConnectError where trying is of no use, ServiceClosed.
        """
        self._supervisor.start()
        session = self._supervisor.session
        if session is not None and session.link.is_open:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connecting.add(waiter)
        try:
            async with asyncio.timeout(self._timeouts.connect):
                await waiter
        except TimeoutError:
            raise ConnectTimeout(self._timeouts.connect, self._supervisor.reason) from None
        finally:
            self._connecting.discard(waiter)

    async def request(
        self,
        method: str,
        params: dict[str, Any],
        *,
        request_id: str | None = None,
        timeout: float | None = None,
        on_sent: Callable[[int], None] | None = None,
    ) -> Response:
        """Ask the server and return its answer, which may carry an error.

        `timeout` (default `timeouts.request`) limits the wait for the answer and, in KBV2 mode,
        the wait for the turn before it. `on_sent` is called with the epoch at the moment the frame
        is handed to the socket: where it was never called nothing has left, and after it the
        outcome of a request that raises is open (but for SendFailed). What it raises prevents the
        sending.

        Raises NotConnected and ServiceClosed (not sent), ConnectionLost (outcome not known),
        RequestTimeout, SendFailed, InvalidRequest and its RequestTooLarge.
        """
        return await self._exchange.request(method, params, request_id, timeout, on_sent)

    def reconnect_now(self) -> None:
        """Do now what would be done later: the next attempt, a fresh start out of FAILED, or,
        when connected, a ping that must be answered within `timeouts.probe`."""
        if self.state in (S.DISCONNECTED, S.FAILED):
            self._supervisor.start()
        self._supervisor.wake()
        if self._supervisor.session is not None:
            self._supervisor.session.heartbeat.probe()

    async def drain(self, timeout: float) -> None:
        """Take no more requests and wait, `timeout` seconds at most, for those that were sent.

        Requests that still wait for their turn raise ServiceClosed. Only `aclose` follows.
        """
        if self.state in (S.CLOSING, S.CLOSED):
            return
        if self.state is not S.DRAINING:
            self._supervisor.transition(S.DRAINING)
        session = self._supervisor.session
        if session is None:
            await self._supervisor.stop()
            return
        session.turn.close(ServiceClosed)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._exchange.wait_idle()

    async def aclose(self) -> None:
        """Close for good, in at most `timeouts.close` seconds; in every state, also twice.

        Requests without an answer raise ConnectionLost, those not sent ServiceClosed. Cancelled,
        it drops the socket at once.
        """
        if self._closed is not None:
            await asyncio.wait({self._closed})
            return
        self._closed = asyncio.get_running_loop().create_future()
        self._supervisor.transition(S.CLOSING)
        session = self._supervisor.session
        try:
            if session is not None:
                session.turn.close(ServiceClosed)
                self._exchange.lost(session, 1000, "closed by kbtui")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._timeouts.close):
                        await session.link.close()
        finally:
            try:
                await self._supervisor.stop()
            finally:
                self._supervisor.transition(S.CLOSED)
                self._closed.set_result(None)

    # What the supervisor reports.

    def state_changed(self, event: StateChanged) -> None:
        """Wake whoever waits in `connect`, and tell the listeners."""
        if event.state is not S.CONNECTED:
            self._latency = None
        for waiter in self._connecting:
            if waiter.done():
                continue
            if event.state is S.CONNECTED:
                waiter.set_result(None)
            elif event.state is S.FAILED:
                waiter.set_exception(FatalConnectError(event.reason or "Could not connect."))
            elif event.state in (S.DRAINING, S.CLOSING):
                waiter.set_exception(ServiceClosed())
        self._broadcast.emit(event)

    def message_arrived(self, session: Session, message: Message) -> None:
        """Give a response to its request and everything else to the listeners."""
        if isinstance(message, _REPORTS):  # by far the most
            self._broadcast.emit(MessageReceived(session.epoch, message))
        elif isinstance(message, Response):
            settlement, response = self._exchange.answered(session, message)
            if settlement is Settlement.LATE:
                self._broadcast.emit(LateAnswer(session.epoch, response))
            elif settlement is Settlement.UNKNOWN:
                sample = repr(response).encode(errors="replace")[:SAMPLE_BYTES]
                self._drop(session, "an answer to no request of ours", sample)
        elif isinstance(message, Unrecognised):
            self._drop(session, message.reason, message.sample)

    def pong_arrived(self, session: Session, seconds: float) -> None:
        """Keep the latency."""
        self._latency = seconds
        self._broadcast.emit(LatencyMeasured(session.epoch, seconds))

    def server_quiet(self, session: Session, seconds: float) -> None:
        """Tell the listeners, where something is expected of the server."""
        if self._exchange.busy(session):
            self._broadcast.emit(ServerQuiet(session.epoch, seconds))

    def session_lost(self, session: Session, failure: Failure) -> None:
        """Fail what waits on the lost connection."""
        session.turn.close(NotConnected)
        self._exchange.lost(session, failure.code or ABNORMAL, failure.detail)

    def _drop(self, session: Session, reason: str, sample: bytes) -> None:
        self._dropped += 1
        self._broadcast.emit(FrameDropped(session.epoch, reason, sample, self._dropped))

    def _usable_session(self) -> Session:
        if self.state in (S.DRAINING, S.CLOSING, S.CLOSED):
            raise ServiceClosed
        session = self._supervisor.session
        if session is None or not session.link.is_open:
            raise NotConnected
        return session


def _constant(endpoint: Endpoint) -> EndpointSource:
    async def source() -> Endpoint:
        return endpoint

    return source
