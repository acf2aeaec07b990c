"""A TCP proxy on loopback that treats its connections badly, with toxiproxy's set of toxics.

It lives in the test's event loop and keeps the loop's time, so that it works on virtual time too.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from random import Random
from typing import Self, TypeVar

from tests.chaos.toxics import (
    Bandwidth,
    Latency,
    LimitData,
    Reset,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
)

T = TypeVar("T", bound=Toxic)

CHUNK = 65_536
HELD = 1024 * 1024
"""Bytes that a direction holds before it stops to read."""


class Direction:
    """The toxics of one direction, for every connection, those that stand included."""

    def __init__(self) -> None:
        self._toxics: tuple[Toxic, ...] = ()
        self._changed: asyncio.Future[None] | None = None
        self.pipes: set[_Pipe] = set()

    def set(self, *toxics: Toxic) -> None:
        """These and no others from now on."""
        self._toxics = toxics
        if self._changed is not None:
            self._changed.set_result(None)
            self._changed = None
        for pipe in tuple(self.pipes):
            pipe.arm()

    def get(self, kind: type[T]) -> T | None:
        """The toxic of that kind."""
        return next((toxic for toxic in self._toxics if isinstance(toxic, kind)), None)

    async def change(self) -> None:
        """Return at the next `set`."""
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._changed)


class _Pipe:
    """One direction of one connection."""

    def __init__(
        self,
        direction: Direction,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        random: Random,
        connection: _Connection,
    ) -> None:
        self._direction = direction
        self._source = source
        self._sink = sink
        self._random = random
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._holding = 0
        self._room = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self._passed = 0
        self._gone = False
        self._arrives = 0.0

    async def run(self) -> None:
        """Forward until the end of the stream has been passed on."""
        self._direction.pipes.add(self)
        self.arm()
        feeding = asyncio.create_task(self._feed())
        try:
            await self._deliver()
        finally:
            feeding.cancel()
            await asyncio.wait({feeding})
            self.disarm()
            self._direction.pipes.discard(self)

    def arm(self) -> None:
        """Start the timers of the toxics that have one."""
        self.disarm()
        reset, timeout = self._direction.get(Reset), self._direction.get(Timeout)
        if reset is not None:
            self._timers.append(self._loop.call_later(reset.seconds, self._connection.reset))
        if timeout is not None and timeout.seconds is not None:
            self._timers.append(self._loop.call_later(timeout.seconds, self._connection.close))

    def disarm(self) -> None:
        """Stop the timers."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    async def _feed(self) -> None:
        while True:
            try:
                data = await self._source.read(CHUNK)
            except ConnectionError:
                data = b""
            latency = self._direction.get(Latency)
            if latency is not None:
                due = self._loop.time() + latency.seconds + self._random.random() * latency.jitter
                self._arrives = max(self._arrives, due)
            self._held.put_nowait((self._arrives, data))
            if not data:
                self._connection.ended()
                return
            self._holding += len(data)
            while self._holding > HELD:
                self._room.clear()
                await self._room.wait()

    async def _deliver(self) -> None:
        while True:
            due, data = await self._held.get()
            await self._sleep(due - self._loop.time())
            self._gone = self._gone or self._direction.get(Timeout) is not None
            if self._gone:
                if not data:
                    # Neither end is told of the other's; what is left goes when both have gone.
                    await self._connection.both_ended.wait()
                    return
                self._let_go(data)
                continue
            if not data:
                break
            for piece in self._pieces(data):
                await self._pass(piece)
            self._let_go(data)
        slow = self._direction.get(SlowClose)
        await self._sleep(0 if slow is None else slow.seconds)
        self._sink.write_eof()

    async def _pass(self, data: bytes) -> None:
        while (bandwidth := self._direction.get(Bandwidth)) is not None and bandwidth.rate == 0:
            await self._direction.change()
        if bandwidth is not None:
            await self._sleep(len(data) / bandwidth.rate)
        limit = self._direction.get(LimitData)
        if limit is not None:
            data = data[: max(0, limit.size - self._passed)]
        self._passed += len(data)
        self._sink.write(data)
        await self._sink.drain()
        if limit is not None and self._passed >= limit.size:
            self._connection.close()
            await self._connection.both_ended.wait()
            raise ConnectionAbortedError
        slicer = self._direction.get(Slicer)
        await self._sleep(0 if slicer is None else slicer.delay)

    def _pieces(self, data: bytes) -> list[bytes]:
        slicer = self._direction.get(Slicer)
        if slicer is None:
            return [data]
        pieces: list[bytes] = []
        while data:
            off = self._random.randint(-slicer.variation, slicer.variation)
            size = max(1, slicer.size + off)
            pieces.append(data[:size])
            data = data[size:]
        return pieces

    def _let_go(self, data: bytes) -> None:
        self._holding -= len(data)
        self._room.set()

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)


class _Connection:
    """A client's socket and the one to the target that belongs to it."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers
        self._ends = 0
        self.both_ended = asyncio.Event()

    def ended(self) -> None:
        """One end has closed its stream."""
        self._ends += 1
        if self._ends == len(self._writers):
            self.both_ended.set()

    def close(self) -> None:
        """End both streams in order; what was written is still delivered."""
        for writer in self._writers:
            writer.close()

    def reset(self) -> None:
        """RST to both ends."""
        for writer in self._writers:
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # it may be closed
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class ChaosProxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target`; use it as an async context manager.

    `up` is the direction from the clients to the target, `down` the one back. `connections` counts
    all that there were. `seed` makes jitter and slices repeatable.
    """

    def __init__(self, target: int, *, seed: int = 0) -> None:
        self.up = Direction()
        self.down = Direction()
        self.port = 0
        self.connections = 0
        self._target = target
        self._random = Random(seed)
        self._live: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """A WebSocket URL through the proxy."""
        return f"ws://127.0.0.1:{self.port}/ws"

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.go_down()

    async def come_back(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def go_down(self) -> None:
        """Reset every connection; the port refuses from now on."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for task in tuple(self._live):
            task.cancel()
        await asyncio.gather(*self._live, return_exceptions=True)
        await server.wait_closed()

    def toxic_free(self) -> None:
        """No toxics in either direction."""
        self.up.set()
        self.down.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._forward(reader, writer))
        self._live.add(task)
        task.add_done_callback(self._live.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        pipes: list[asyncio.Task[None]] = []
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            connection = _Connection(writer, back)
            for direction, source, sink in ((self.up, reader, back), (self.down, there, writer)):
                pipe = _Pipe(direction, source, sink, self._random, connection)
                pipes.append(asyncio.ensure_future(pipe.run()))
            await asyncio.gather(*pipes)
            connection.close()
        except OSError:
            connection.reset()
        except asyncio.CancelledError:
            connection.reset()
            raise
        finally:
            for task in pipes:
                task.cancel()
            await asyncio.gather(*pipes, return_exceptions=True)
