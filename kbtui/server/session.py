"""One client's connection: its requests in, answers and progress out."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from kbtui.protocol.codec import (
    MalformedRequest,
    encode_progress,
    encode_response,
    parse_request,
)
from kbtui.protocol.messages import NATIVE_SUBPROTOCOL, Progress, Request
from kbtui.protocol.methods import InvalidShape
from kbtui.server.calls import CallError, Calls
from kbtui.server.ingestion import is_count

log = logging.getLogger(__name__)

CONCURRENT_REQUESTS: Final = 64
"""The most requests a native client may have open on one connection; more wait to be read."""

WAITING_FRAMES: Final = 1_000
"""Frames waiting for a slow client above which counts within a stage are left out for it."""


class Outbox:
    """Frames on their way to one client: in order, sent by one task, bounded for a slow reader."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._frames: deque[str] = deque()
        self._ready = asyncio.Event()

    def put(self, frame: str) -> None:
        """Queue a frame that must arrive."""
        self._frames.append(frame)
        self._ready.set()

    def put_progress(self, progress: Progress) -> None:
        """Queue a report; a count within a stage is dropped when the client is far behind."""
        if is_count(progress) and len(self._frames) >= WAITING_FRAMES:
            return
        self.put(encode_progress(progress))

    async def run(self) -> None:
        """Send until the connection is closed."""
        try:
            while True:
                await self._ready.wait()
                self._ready.clear()
                while self._frames:
                    await self._connection.send(self._frames.popleft())
        except ConnectionClosed:
            self._frames.clear()


class Session:
    """Serves one connection until it closes.

    A KBV2 client (no subprotocol) is served strictly in order, as KBV2 does. A native client's
    requests run side by side, and its progress says which request it belongs to.
    """

    def __init__(self, connection: ServerConnection, calls: Calls) -> None:
        self._connection = connection
        self._calls = calls
        self._native = connection.subprotocol == NATIVE_SUBPROTOCOL
        self._outbox = Outbox(connection)
        self._slots = asyncio.Semaphore(CONCURRENT_REQUESTS if self._native else 1)

    async def run(self) -> None:
        """Read requests until the client goes; what it started goes on without it."""
        async with asyncio.TaskGroup() as tasks:
            sender = tasks.create_task(self._outbox.run(), name="session sender")
            answering: set[asyncio.Task[None]] = set()
            try:
                async for raw in self._connection:
                    await self._slots.acquire()
                    task = tasks.create_task(self._answer(raw), name="session request")
                    answering.add(task)
                    task.add_done_callback(answering.discard)
            except ConnectionClosed:
                pass
            finally:
                for task in (sender, *answering):
                    task.cancel()

    async def _answer(self, raw: str | bytes) -> None:
        try:
            try:
                request = parse_request(raw)
            except MalformedRequest as error:
                self._outbox.put(encode_response(None, error=str(error)))
                return
            self._outbox.put(await self._call(request))
        finally:
            self._slots.release()

    async def _call(self, request: Request) -> str:
        def listener(progress: Progress) -> None:
            if self._native:
                progress = msgspec.structs.replace(progress, request_id=str(request.id))
            self._outbox.put_progress(progress)

        try:
            result = await self._calls.call(request.method, request.params, listener)
        except (CallError, InvalidShape) as error:
            text = " ".join(str(error).split())
            return encode_response(request.id, error=f"Error processing {request.method}: {text}")
        except Exception:
            # A defect of ours must not take the connection, and with it other requests, down.
            log.exception("%s failed", request.method)
            return encode_response(
                request.id,
                error=f"Error processing {request.method}: internal error, see the server's log",
            )
        return encode_response(request.id, result=result)
