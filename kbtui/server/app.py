"""The embedded knowledge-base server: one process, one port, WebSocket and health."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import secrets
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from kbtui import __version__
from kbtui.protocol.announcement import Announcement
from kbtui.protocol.messages import MAX_FRAME_BYTES, NATIVE_SUBPROTOCOL
from kbtui.protocol.methods import Health
from kbtui.server.calls import Calls
from kbtui.server.http import WEBSOCKET_PATH, gate
from kbtui.server.jobs import Ingestions
from kbtui.server.knowledge_base import KnowledgeBase
from kbtui.server.lifecycle import DataFolder, wait_until_unneeded
from kbtui.server.session import Session
from kbtui.server.uploads import MAX_UPLOAD, Uploads

log = logging.getLogger(__name__)

NAME: Final = "kbtui embedded knowledge base"
FIRST_GRACE: Final = 30.0
"""Seconds that a server started for a client waits for that client."""


class ServeError(Exception):
    """The server cannot start; the text says what to do."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve. `port` 0 takes a free one; `roots` are the folders that may be read.

    `idle_exit`: seconds without a client and without work after which the server ends; None means
    never. With a `token`, clients must show it; `private` makes a random one, which only the
    announcement tells. `max_upload` is in bytes.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8765
    roots: tuple[Path, ...] = ()
    token: str | None = field(default=None, repr=False)
    private: bool = False
    idle_exit: float | None = None
    max_upload: int = MAX_UPLOAD


async def run(options: ServeOptions, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM, SIGINT or idleness. `ready` gets the WebSocket's URL.

    Raises ServeError, lifecycle.AlreadyRunning or errors.KnowledgeBaseError with a sentence.
    """
    token = options.token or (secrets.token_urlsafe(32) if options.private else None)
    if token is None and not _is_loopback(options.host):
        raise ServeError(
            f"refusing to listen on {options.host} without a token: anyone could read the files; "
            "set one and name its variable with --token-env"
        )
    folder = DataFolder(options.data)
    folder.claim()
    try:
        knowledge_base = await KnowledgeBase.open(options.data)
        try:
            await _serve(options, token, folder, knowledge_base, ready)
        finally:
            await knowledge_base.aclose()
    finally:
        folder.release()


async def _serve(
    options: ServeOptions,
    token: str | None,
    folder: DataFolder,
    knowledge_base: KnowledgeBase,
    ready: Callable[[str], None] | None,
) -> None:
    changed = asyncio.Event()
    uploads = Uploads(options.data / "uploads", options.max_upload)
    ingestions = Ingestions(knowledge_base, options.roots, uploads, on_end=changed.set)
    calls = Calls(knowledge_base, ingestions, uploads)
    connections: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        connections.add(connection)
        changed.set()
        try:
            await Session(connection, calls).run()
        finally:
            connections.discard(connection)
            changed.set()

    health = Health("healthy", __version__, NAME, knowledge_base.instance_id)
    try:
        server = await serve(
            handle,
            options.host,
            options.port,
            subprotocols=[Subprotocol(NATIVE_SUBPROTOCOL)],
            select_subprotocol=_select,
            process_request=gate(lambda: health, token),
            max_size=MAX_FRAME_BYTES,
            ping_interval=20,
            ping_timeout=20,
            close_timeout=1.5,
            server_header=f"kbtui/{__version__}",
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise ServeError(
            f"cannot listen on {options.host} port {options.port}: {reason}; "
            "give another with --port"
        ) from None
    try:
        url = _url(server, options.host)
        folder.announce(Announcement(url, token or "", os.getpid(), __version__))
        log.info("listening on %s, data in %s", url, options.data)
        if ready is not None:
            ready(url)
        await _until_told(
            lambda: bool(connections) or ingestions.active > 0, changed, options.idle_exit
        )
    finally:
        # 1012, "service restart", is what KBV2's server says too when it is told to stop.
        server.close(code=CloseCode.SERVICE_RESTART)
        await server.wait_closed()
        await ingestions.aclose()
        await uploads.aclose()
        log.info("stopped")


async def _until_told(
    in_use: Callable[[], bool], changed: asyncio.Event, idle_exit: float | None
) -> None:
    """Wait for a signal, or for idleness where the server is to end with its last user."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    waits: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait(), name="stop signal")]
    if idle_exit is not None:
        idle = wait_until_unneeded(in_use, changed, grace=idle_exit, first_grace=FIRST_GRACE)
        waits.append(asyncio.create_task(idle, name="idle exit"))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _select(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Native where it is offered; a client that offers none, or others, is served as KBV2."""
    native = Subprotocol(NATIVE_SUBPROTOCOL)
    return native if native in offered else None


def _url(server: Server, host: str) -> str:
    port = next(iter(server.sockets)).getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    return f"ws://{shown}:{port}{WEBSOCKET_PATH}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
