"""What the checks ask of this machine and of the network, as one interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from kbtui.connection import Endpoint, Timeouts
from kbtui.connection.transport import Link
from kbtui.paths import Paths

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer to a GET. `date` is the Date header; `seconds` how long it took."""

    status: int
    body: bytes
    date: str | None
    asked_at: float
    """Our clock (epoch seconds) halfway between question and answer."""


@dataclass(frozen=True, slots=True)
class TlsSession:
    """What a TLS handshake showed. `not_after` is the certificate's end in epoch seconds."""

    version: str
    issuer: str
    not_after: float | None


class Environment(Protocol):
    """Everything the checks ask. What is no coroutine may block: it is called by `in_thread`."""

    async def in_thread(self, work: Callable[[], T], name: str) -> T:
        """Run `work` in a thread that nobody waits for once the caller has given up."""

    def unusable(self, folder: Path) -> str | None:
        """Why nothing can be written in `folder` (which may not exist yet); None where it can."""

    def free_bytes(self, folder: Path) -> int:
        """Room on the disk that holds `folder`, or will."""

    def memory_bytes(self) -> int | None:
        """Memory that programs can still get; None where the platform does not tell."""

    def has_module(self, name: str) -> bool:
        """Whether a module is installed; it is not loaded."""

    def version_of(self, distribution: str) -> str | None:
        """An installed distribution's version."""

    def ingesting(self, state: Path, server: str) -> int:
        """Documents that kbtui processes of this user have sent to `server` and still wait for."""

    def journal_schema(self, state: Path) -> int | None:
        """Check the journal and give its schema's number; None where there is no journal yet.

        Raises sqlite3.Error or OSError.
        """

    def is_own_address(self, address: str) -> bool:
        """Whether an IP address is one of this machine's."""

    def wall(self) -> float:
        """Epoch seconds."""

    def get(self, endpoint: Endpoint, url: str, proxy: str | None, timeout: float) -> HttpAnswer:
        """GET a URL of `endpoint`'s server, with its trust and without its token.

        Raises OSError or http.client.HTTPException.
        """

    def proxy_for(self, endpoint: Endpoint) -> str | None:
        """The URL of the proxy that the connection goes through."""

    async def embedded(self, paths: Paths) -> Endpoint:
        """Find or start the embedded server. Raises ConnectError or FatalConnectError."""

    async def resolve(self, host: str, port: int) -> list[str]:
        """A host's addresses, preferred ones first. Raises OSError."""

    async def connect(self, address: str, port: int) -> None:
        """Open a TCP connection and close it. Raises OSError."""

    async def handshake(self, endpoint: Endpoint, address: str, port: int) -> TlsSession:
        """TLS as the connection will do it. Raises OSError (ssl.SSLError) or FatalConnectError."""

    async def open_link(self, endpoint: Endpoint, timeouts: Timeouts) -> Link:
        """Open the WebSocket. Raises whatever transport.open_websocket does."""
