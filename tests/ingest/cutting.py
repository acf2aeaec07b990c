"""A TCP proxy that cuts its connections at chosen bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["up", "down"]


@dataclass
class Line:
    """One proxied connection: how many bytes went each way, and where it is to be cut."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    passed: dict[Direction, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    cut: tuple[Direction, int] | None = None

    def sever(self) -> None:
        """What was passed on still arrives; after that nothing does, either way."""
        self.client.close()
        self.server.close()


class CuttingProxy:
    """Passes bytes to `port`. `arm` says where to cut; each cut is counted in `cuts`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._planned: deque[tuple[Direction, int]] = deque()
        self._lines: list[Line] = []
        self.port = 0
        self.cuts = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def passed_down(self) -> int:
        """Bytes from the server to the newest client."""
        return self._lines[-1].passed["down"] if self._lines else 0

    def arm(self, *cuts: tuple[Direction, int]) -> None:
        """Cut the present connection after so many bytes more, the ones that follow it after so
        many of theirs. Replaces what was armed before."""
        self._planned = deque(cuts[1:])
        line = self._lines[-1]
        line.cut = None
        if cuts:
            direction, offset = cuts[0]
            line.cut = (direction, line.passed[direction] + offset)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        line = Line(writer, to_server)
        if self._planned:
            line.cut = self._planned.popleft()
        self._lines.append(line)
        with contextlib.suppress(OSError):
            await asyncio.gather(
                self._pump(line, "up", reader, to_server),
                self._pump(line, "down", from_server, writer),
            )
        line.sever()

    async def _pump(
        self,
        line: Line,
        direction: Direction,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
    ) -> None:
        while data := await source.read(65536):
            if line.cut is not None and line.cut[0] == direction:
                left = line.cut[1] - line.passed[direction]
                if left < len(data):
                    sink.write(data[: max(0, left)])
                    self.cuts += 1
                    line.sever()
                    return
            line.passed[direction] += len(data)
            sink.write(data)
            await sink.drain()
        line.sever()


@contextlib.asynccontextmanager
async def cutting(url: str) -> AsyncIterator[CuttingProxy]:
    """A proxy before the server at `url`."""
    proxy = CuttingProxy(int(url.rpartition(":")[2].partition("/")[0]))
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
