"""A KBV2 server that answers from recordings: in a test's process, or as a process of its own.

It is as serial, as forgetful and as generous with other people's progress as the real one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http
import json
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from kbtui.protocol.messages import MAX_FRAME_BYTES
from tests.kbv2.frames import echoed, encoded, failed, plain, reply_to, substituted
from tests.kbv2.recordings import INGEST, RECORDED_PATHS, Recording, Script, load, versions


@dataclass
class Faults:
    """What goes wrong next. Frames are an ingestion's progress, counted from 1."""

    drop_after: int | None = None
    """After so many frames the ingesting connection is dropped, once; the ingestion goes on."""
    close_code: int | None = None
    """With `drop_after`: close with this code instead of dropping."""
    never_answer: bool = False
    """Ingestions report progress and then neither answer nor free their connection."""
    steal_after: int | None = None
    """After so many frames all further progress goes to a connection that is not ours."""
    hold_after: int | None = None
    """After so many frames an ingestion stands still until `ReplayServer.release`."""


class ReplayServer:
    """One server on loopback; use it as an async context manager.

    `speed` scales the recorded delays: 0 is as fast as possible, 1 as it was. `exists` says which
    paths are there besides those of this machine's file system.
    """

    def __init__(
        self,
        version: str,
        *,
        port: int = 0,
        speed: float = 0.0,
        faults: Faults | None = None,
        exists: Callable[[str], bool] | None = None,
    ) -> None:
        self.recording: Recording = load(version)
        self.faults = faults or Faults()
        self.requests: list[dict[str, Any]] = []
        """Every request that was taken up, in order."""
        self.ingestions: Counter[str] = Counter()
        """How many ingestions were begun, by file path."""
        self.completed: Counter[str] = Counter()
        self.connected = 0
        """How many connections there were."""
        self.holding = asyncio.Event()
        """Set while an ingestion stands still because of `hold_after`."""
        self.port = port
        """0 until the server has started, if no port was asked for."""
        self._speed = speed
        self._exists = exists or (lambda path: False)
        self._released = asyncio.Event()
        self._stopping = asyncio.Event()
        self._server: Server | None = None
        self._connections: set[ServerConnection] = set()
        self._current: ServerConnection | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Listen; after `terminate` or `kill`, on the same port again, as a new process would."""
        await self.kill()
        self._stopping = asyncio.Event()
        self._server = await serve(
            self._serve_connection,
            "127.0.0.1",
            self.port,
            process_request=self._answer_http,
            server_header="uvicorn",
            max_size=MAX_FRAME_BYTES,
            max_queue=1,  # a second message stops the reading, as it does in uvicorn
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def terminate(self) -> None:
        """As on SIGTERM: the port refuses, every connection is closed with 1012."""
        assert self._server is not None
        self._server.close(close_connections=False)
        await asyncio.gather(*(connection.close(1012) for connection in set(self._connections)))

    async def kill(self) -> None:
        """As on SIGKILL: everything stops at once and every connection drops."""
        if self._server is None:
            return
        self._stopping.set()
        self._released.set()
        self._server.close(close_connections=False)
        self.drop_all()
        await self._server.wait_closed()
        self._server = None

    def drop_all(self) -> None:
        """Drop every connection."""
        for connection in set(self._connections):
            connection.transport.abort()

    def release(self) -> None:
        """Let the ingestion that `hold_after` stopped go on."""
        self._released.set()

    def _answer_http(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if "upgrade" in request.headers.get("Connection", "").lower():
            return None if path == "/ws" else plain(http.HTTPStatus.FORBIDDEN, "text/plain", b"")
        if path == "/replay":
            body = {"ingestions": self.ingestions, "completed": self.completed}
            return plain(http.HTTPStatus.OK, "application/json", json.dumps(body).encode())
        known = self.recording.http.get(path, self.recording.http["/nope"])
        return plain(http.HTTPStatus(known.status), known.content_type, known.body)

    async def _serve_connection(self, connection: ServerConnection) -> None:
        self.connected += 1
        self._connections.add(connection)
        self._current = connection
        try:
            async for raw in connection:
                if connection.state is not State.OPEN:
                    break  # what waited behind a running request is never taken up
                self._current = connection
                await self._serve_message(connection, raw)
        except (ConnectionClosed, _Stopped):
            pass
        finally:
            self._connections.discard(connection)

    async def _serve_message(self, connection: ServerConnection, raw: str | bytes) -> None:
        if isinstance(raw, bytes):
            connection.transport.abort()
            return
        known = self.recording.malformed.get(raw)
        if known is not None:
            await connection.send(encoded(known))
            return
        try:
            call = json.loads(raw)
        except (ValueError, RecursionError) as error:
            await connection.send(failed(f"Failed to process request: {error}", None))
            return
        if not isinstance(call, dict):
            kind = type(call).__name__
            text = f"Failed to process request: '{kind}' object has no attribute 'get'"
            await connection.send(failed(text, None))
            return
        try:
            request_id = echoed(call.get("id"))
        except ValueError:
            connection.transport.abort()
            return
        self.requests.append(call)
        params = call.get("params")
        if call.get("method") == INGEST and isinstance(params, dict) and params.get("file_path"):
            await self._ingest(connection, params, request_id)
        else:
            reply = reply_to(self.recording, call)
            await connection.send(encoded({**reply, "id": request_id}))

    async def _ingest(
        self, connection: ServerConnection, params: dict[str, Any], request_id: Any
    ) -> None:
        path = str(params["file_path"])
        self.ingestions[path] += 1
        script = self._script(path)
        began = time.monotonic()
        for number, (wait, frame) in enumerate(script.frames, start=1):
            await self._nap(wait)
            elapsed = time.monotonic() - began
            await self._report(number, substituted(frame, script, params, elapsed))
            await self._misbehave(number, connection)
        await self._nap(script.response_after)
        response = substituted(script.response, script, params, time.monotonic() - began)
        if response["result"] is not None:
            self.completed[path] += 1
            response["result"] |= {
                "document_id": str(uuid.uuid4()),
                "document_name": params.get("document_name") or Path(path).name,
                "domain": params.get("domain") or self.recording.default_domain,
            }
        if self.faults.never_answer:
            await self._stopping.wait()
            raise _Stopped
        await connection.send(encoded({**response, "id": request_id}))

    def _script(self, path: str) -> Script:
        recording = self.recording
        if path in RECORDED_PATHS or self._exists(path):
            return recording.success
        if not os.path.exists(path):
            return recording.failures["does_not_exist.md"]
        if os.path.isdir(path):
            return recording.failures["docs"]
        if os.path.getsize(path) == 0:
            return recording.failures["empty.md"]
        return recording.success

    async def _report(self, number: int, frame: dict[str, Any]) -> None:
        """Progress goes to the connection that connected or spoke last, whoever asked for it."""
        steal = self.faults.steal_after
        if self._current is None or (steal is not None and number > steal):
            return
        with contextlib.suppress(ConnectionClosed):
            await self._current.send(json.dumps(frame))

    async def _misbehave(self, number: int, connection: ServerConnection) -> None:
        faults = self.faults
        if faults.drop_after is not None and number >= faults.drop_after:
            faults.drop_after = None
            if faults.close_code is None:
                connection.transport.abort()
            else:
                await connection.close(faults.close_code)
        if number == faults.hold_after:
            self._released.clear()
            self.holding.set()
            await self._released.wait()
            self.holding.clear()

    async def _nap(self, seconds: float) -> None:
        if self._stopping.is_set():
            raise _Stopped
        await asyncio.sleep(0)
        if seconds * self._speed > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds * self._speed):
                    await self._stopping.wait()


class _Stopped(Exception):
    """The server is killed."""


async def _main(arguments: argparse.Namespace) -> None:
    faults = Faults(
        drop_after=arguments.drop_after,
        close_code=arguments.close_code,
        never_answer=arguments.never_answer,
        steal_after=arguments.steal_after,
    )
    server = ReplayServer(
        arguments.version, port=arguments.port, speed=arguments.speed, faults=faults
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with server:
        print(f"listening on {server.url}", flush=True)
        await stop.wait()
        await server.terminate()


def main() -> None:
    """The command line: `python -m tests.kbv2.replay --help`."""
    parser = argparse.ArgumentParser(prog="python -m tests.kbv2.replay", description=__doc__)
    parser.add_argument("--version", choices=versions(), default=versions()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--speed", type=float, default=0.0, help="0: as fast as possible")
    parser.add_argument("--drop-after", type=int, metavar="FRAMES")
    parser.add_argument("--close-code", type=int, metavar="CODE")
    parser.add_argument("--never-answer", action="store_true")
    parser.add_argument("--steal-after", type=int, metavar="FRAMES")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
