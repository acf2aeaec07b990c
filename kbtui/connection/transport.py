"""One WebSocket: what the service needs of it, and how websockets provides it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, SecurityError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Event, State
from websockets.typing import Subprotocol

from kbtui import __version__
from kbtui.connection.endpoint import Endpoint, Timeouts
from kbtui.connection.tls import client_context
from kbtui.protocol.messages import MAX_FRAME_BYTES, NATIVE_SUBPROTOCOL

if TYPE_CHECKING:
    from websockets.frames import Close

MAX_REDIRECTS: Final = 3
ABNORMAL: Final = 1006
_DATA: Final = frozenset({Opcode.CONT, Opcode.TEXT, Opcode.BINARY})
Sink = Callable[[str | bytes], None]
"""Takes one message; does not raise."""
CLOSE_LINGER: Final = 0.05
"""Seconds that a peer has to close the TCP connection after both close frames went out."""

# At DEBUG websockets logs every frame and the handshake's headers, the token among them.
_quiet = logging.getLogger("kbtui.connection.websockets")
_quiet.setLevel(logging.WARNING)


_MEANINGS: Final = {
    1000: "the server closed the connection",
    1001: "the server is going away",
    1005: "the server closed the connection",
    ABNORMAL: "the connection broke",
    1008: "the server does not allow this connection",
    1009: "a message was too large",
    1011: "the server met an error",
    1012: "the server is restarting",
    1013: "the server is overloaded",
}


class LinkClosed(Exception):
    """The WebSocket is closed; its text says so to a person.

    `code` is the peer's close code, or our own where we closed it for a protocol error, or 1006.
    """

    def __init__(self, code: int = ABNORMAL, reason: str = "") -> None:
        meaning = _MEANINGS.get(code, "the connection was closed")
        super().__init__(f"{meaning} (code {code}{f': {reason}' if reason else ''})")
        self.code = code


class Link(Protocol):
    """One open WebSocket."""

    @property
    def subprotocol(self) -> str | None:
        """What the server selected."""

    @property
    def is_open(self) -> bool:
        """False once either side began to close: then `send` writes nothing."""

    async def receive(self, sink: Sink) -> LinkClosed:
        """Call `sink` with every message in order, until the link is closed; returns why."""

    async def send(self, text: str) -> None:
        """Write one message; raises LinkClosed. With `is_open` beforehand the message may arrive
        even so."""

    async def ping(self) -> float:
        """Send a ping and wait for its pong: the seconds it took; raises LinkClosed."""

    async def close(self) -> None:
        """Close with code 1000 within the close-frame timeout, then abort; never raises."""

    def abort(self) -> None:
        """Drop the socket at once, with whatever is still to be written."""

    async def wait_closed(self) -> None:
        """Return once the socket is gone."""


Opener = Callable[[Endpoint, Timeouts], Awaitable[Link]]
"""Opens a Link; raises whatever its library raises (see failures.failure_of)."""


class _Connection(ClientConnection):
    """websockets' connection, which hands on messages as they arrive and is over soon.

    Its own queue and `recv` cost as much a message as everything that we do with one; nothing here
    waits for a slow reader, so that neither is needed. The message goes to the sink as a call.

    It answers a close frame and then waits for the peer to close the TCP connection, which a peer
    may never do; requests must learn at once that no answer will come.
    """

    _sink: Sink | None = None

    def hand_on_to(self, sink: Sink) -> None:
        """Call `sink` with every message, those included that came before."""
        self._sink = sink
        for message in self._early:
            sink(message)
        self._early.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._early: list[str | bytes] = []
        self._fragments: list[bytes] = []
        self._is_text = False

    def process_event(self, event: Event) -> None:
        if type(event) is Frame and event.opcode in _DATA and self.response is not None:
            self._take(event)
        else:
            super().process_event(event)

    def _take(self, frame: Frame) -> None:
        data = frame.data
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        if self._fragments or not frame.fin:
            self._fragments.append(bytes(data))
            if not frame.fin:
                return
            data = b"".join(self._fragments)
            self._fragments.clear()
        try:
            message = str(data, "utf-8") if self._is_text else bytes(data)
        except UnicodeDecodeError as error:
            self.protocol.fail(CloseCode.INVALID_DATA, f"{error.reason} at {error.start}")
            self.send_data()
            self.loop.call_later(CLOSE_LINGER, self.transport.abort)
            return
        if self._sink is None:
            self._early.append(message)
        else:
            self._sink(message)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.protocol.close_rcvd is not None and not self.transport.is_closing():
            self.loop.call_later(CLOSE_LINGER, self.transport.abort)


class _Connect(connect):
    """websockets' connect, which follows fewer redirects."""

    _followed = 0

    def process_redirect(self, exc: Exception) -> Exception | str:
        target = super().process_redirect(exc)
        if isinstance(target, str):
            self._followed += 1
            if self._followed > MAX_REDIRECTS:
                return SecurityError(f"more than {MAX_REDIRECTS} redirects")
        return target


async def open_websocket(endpoint: Endpoint, timeouts: Timeouts) -> Link:
    """Connect to `endpoint`, offering the native subprotocol. Without a time limit of its own."""
    headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
    context = client_context(endpoint)
    tls: dict[str, Any] = {} if context is None else {"ssl": context}
    socket = await _Connect(
        endpoint.url,
        subprotocols=[Subprotocol(NATIVE_SUBPROTOCOL)],
        additional_headers=headers,
        user_agent_header=f"kbtui/{__version__}",
        proxy=None if endpoint.is_loopback else True,
        open_timeout=None,
        ping_interval=None,
        close_timeout=timeouts.close_frame,
        max_size=MAX_FRAME_BYTES,
        logger=_quiet,
        create_connection=_Connection,
        **tls,
    )
    assert isinstance(socket, _Connection)
    return WebSocketLink(socket, timeouts)


class WebSocketLink:
    """A Link made of websockets' client connection."""

    def __init__(self, socket: _Connection, timeouts: Timeouts) -> None:
        self._socket = socket
        self._timeouts = timeouts

    @property
    def subprotocol(self) -> str | None:
        """What the server selected."""
        return self._socket.subprotocol

    @property
    def is_open(self) -> bool:
        """False once either side began to close."""
        return self._socket.state is State.OPEN

    async def receive(self, sink: Sink) -> LinkClosed:
        """Call `sink` with every message until the link is closed."""
        self._socket.hand_on_to(sink)
        try:
            while True:
                await self._socket.recv()  # nothing comes here but the end
        except ConnectionClosed as error:
            return _closed(error)

    async def send(self, text: str) -> None:
        """Write one message; raises LinkClosed."""
        try:
            await self._socket.send(text)
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def ping(self) -> float:
        """Seconds to the pong of a ping sent now; raises LinkClosed."""
        try:
            return await (await self._socket.ping())
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def close(self) -> None:
        """Close within the close-frame timeout, then abort."""
        # websockets limits the wait for the peer's close frame, not the write of ours.
        try:
            async with asyncio.timeout(self._timeouts.close_frame):
                await self._socket.close()
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Drop the socket at once."""
        self._socket.transport.abort()

    async def wait_closed(self) -> None:
        """Return once the socket is gone."""
        await self._socket.wait_closed()


def _closed(error: ConnectionClosed) -> LinkClosed:
    close: Close | None = error.rcvd
    if close is None and error.sent is not None and error.sent.code != 1000:
        close = error.sent
    if close is not None:
        return LinkClosed(close.code, close.reason)
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.strerror:
        return LinkClosed(reason=cause.strerror.lower())
    return LinkClosed()
