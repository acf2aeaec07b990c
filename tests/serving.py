"""The embedded server inside the test's own event loop, and a bare client to talk to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from kbtui.protocol.messages import NATIVE_SUBPROTOCOL
from kbtui.server import app


@asynccontextmanager
async def serving(data: Path, *roots: Path, **options: Any) -> AsyncIterator[str]:
    """A server on a free port of loopback; gives its URL."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    settings = app.ServeOptions(data=data, roots=roots, **{"port": 0, **options})
    server = asyncio.create_task(app.run(settings, ready.set_result))
    try:
        await asyncio.wait({server, ready}, return_when=asyncio.FIRST_COMPLETED)
        if server.done():
            server.result()
        yield ready.result()
    finally:
        server.cancel()
        await asyncio.wait({server})


@asynccontextmanager
async def client(url: str, *, native: bool = False, **more: Any) -> AsyncIterator[Client]:
    """A connection to a server, native or as a KBV2 client would make it."""
    subprotocols = [Subprotocol(NATIVE_SUBPROTOCOL)] if native else None
    async with connect(url, subprotocols=subprotocols, proxy=None, **more) as connection:
        yield Client(connection)


class Client:
    """Sends requests and reads frames as plain dictionaries."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, method: str, request_id: Any = "1", **params: Any) -> None:
        """One request."""
        frame = {"method": method, "params": params, "id": request_id}
        await self.connection.send(json.dumps(frame))

    async def frame(self) -> dict[str, Any]:
        """The next frame."""
        async with asyncio.timeout(60):
            frame: dict[str, Any] = json.loads(await self.connection.recv())
        return frame

    async def answer(self, request_id: Any = "1") -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The response to a request, and the frames that came before it."""
        before: list[dict[str, Any]] = []
        while True:
            frame = await self.frame()
            if "result" in frame and frame["id"] == request_id:
                return frame, before
            before.append(frame)

    async def call(self, method: str, request_id: Any = "1", **params: Any) -> dict[str, Any]:
        """A request's response."""
        await self.send(method, request_id, **params)
        return (await self.answer(request_id))[0]
