"""A server to connect to, a server that misbehaves below WebSocket, and a record of the events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response
from websockets.utils import accept_key

from kbtui.connection import (
    ConnectionEvent,
    ConnectionService,
    ConnectionState,
    Endpoint,
    StateChanged,
)
from kbtui.connection.states import TRANSITIONS
from kbtui.protocol.messages import NATIVE_SUBPROTOCOL

if TYPE_CHECKING:
    from ssl import SSLContext

    from websockets.http11 import Request

E = TypeVar("E", bound=ConnectionEvent)
Call = dict[str, Any]


def http(status: int, **headers: str) -> Response:
    """An answer to the upgrade request that is no upgrade."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, "", Headers({"Content-Length": "0", **fields}), b"")


def answer(call: Call, result: Any = "done") -> str:
    return json.dumps({"result": result, "error": None, "id": call["id"]})


async def answering(connection: ServerConnection, call: Call) -> None:
    await connection.send(answer(call))


class Peer:
    """A WebSocket server whose behaviour a test sets; by default it answers every request."""

    def __init__(self, *, native: bool = False, ssl: SSLContext | None = None) -> None:
        self.native = native
        self.ssl = ssl
        self.on_call: Callable[[ServerConnection, Call], Awaitable[None]] = answering
        self.on_connect: Callable[[ServerConnection], Awaitable[None]] | None = None
        self.on_request: Callable[[ServerConnection, Request], Response | None] | None = None
        self.calls: list[Call] = []
        self.handshakes: list[Request] = []
        self.connections: list[ServerConnection] = []
        self.port = 0
        self._server: Server | None = None

    @property
    def url(self) -> str:
        return f"{'ws' if self.ssl is None else 'wss'}://127.0.0.1:{self.port}/ws"

    @property
    def open(self) -> int:
        return sum(connection.close_code is None for connection in self.connections)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            ssl=self.ssl,
            process_request=self._handshake,
            subprotocols=[NATIVE_SUBPROTOCOL] if self.native else None,
            select_subprotocol=None if self.native else lambda *_: None,
            ping_interval=None,
            close_timeout=1,
            max_size=None,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Drop everything; the port refuses from now on."""
        if self._server is not None:
            self._server.close(close_connections=False)
            for connection in self.connections:
                connection.transport.abort()
            await self._server.wait_closed()
            self._server = None

    def _handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request)
        return None if self.on_request is None else self.on_request(connection, request)

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        calls: set[asyncio.Task[None]] = set()
        try:
            with contextlib.suppress(ConnectionClosed):
                if self.on_connect is not None:
                    await self.on_connect(connection)
                async for raw in connection:
                    call = json.loads(raw)
                    self.calls.append(call)
                    calls.add(asyncio.ensure_future(self.on_call(connection, call)))
        finally:
            for task in calls:
                task.cancel()
            await asyncio.gather(*calls, return_exceptions=True)


@contextlib.asynccontextmanager
async def _listening(
    serve_one: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    writers: list[asyncio.StreamWriter],
) -> AsyncIterator[str]:
    """A TCP server whose connections, kept in `writers`, are aborted at the end."""
    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def raw_server(reply: bytes | None, *, hold: bool = False) -> AsyncIterator[str]:
    """A TCP server that sends `reply` after the first line it reads (None: nothing at all).

    With `hold` it keeps the connection open, else it closes after the reply.
    """
    writers: list[asyncio.StreamWriter] = []

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError):
            if reply is not None:
                await reader.readline()
                writer.write(reply)
                await writer.drain()
            if hold or reply is None:
                await reader.read()
        writer.close()

    async with _listening(serve_one, writers) as url:
        yield url


@contextlib.asynccontextmanager
async def mute_websocket(*, native: bool = False) -> AsyncIterator[str]:
    """A server that upgrades and then neither reads nor writes."""
    writers: list[asyncio.StreamWriter] = []

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0].decode()
        lines = (
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_key(key)}",
            *([f"Sec-WebSocket-Protocol: {NATIVE_SUBPROTOCOL}"] if native else []),
        )
        writer.write("\r\n".join((*lines, "", "")).encode())
        writer.transport.pause_reading()

    async with _listening(serve_one, writers) as url:
        yield url


class Record:
    """The events of a service, each transition checked, with waiting for what is to come."""

    def __init__(self, service: ConnectionService) -> None:
        self.events: list[ConnectionEvent] = []
        self.service = service
        self._news = asyncio.Event()
        service.subscribe(self._note)

    @property
    def states(self) -> list[ConnectionState]:
        """The states in order, repetitions left out."""
        changes = self.of(StateChanged)
        return [change.state for change in changes if change.state is not change.previous]

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, condition: Callable[[], bool], seconds: float = 600.0) -> None:
        """Return once `condition` holds after an event."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def until_state(self, state: ConnectionState) -> None:
        await self.until(lambda: self.service.state is state)

    def _note(self, event: ConnectionEvent) -> None:
        if isinstance(event, StateChanged):
            assert event.state in TRANSITIONS[event.previous]
            assert event.state is self.service.state
        self.events.append(event)
        self._news.set()


@contextlib.asynccontextmanager
async def service_for(
    target: str | Endpoint | Peer | Callable[[], Awaitable[Endpoint]], **options: Any
) -> AsyncIterator[tuple[ConnectionService, Record]]:
    """A service and its record; closed at the end."""
    source = Endpoint(target) if isinstance(target, str) else target
    if isinstance(source, Peer):
        source = Endpoint(source.url)
    service = ConnectionService(source, **options)
    record = Record(service)
    try:
        yield service, record
    finally:
        await service.aclose()
        assert service.state is ConnectionState.CLOSED
