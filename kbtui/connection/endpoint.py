"""Where to connect and how long to wait for what."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """A server's WebSocket URL (`ws://HOST:PORT/ws`), its token, and the files for `wss://`.

    `token` is sent as a bearer token. `ca_file` is a PEM file of the authorities to trust instead
    of the system's; `client_certificate` and `client_key` are what the server knows us by (the key
    may be in the certificate's file). They are read at each attempt, so a renewed file counts.
    """

    url: str
    token: str | None = None
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self.public_url!r})"

    @property
    def public_url(self) -> str:
        """The URL without user name, password and query: what may be shown and logged."""
        try:
            parts = urlsplit(self.url)
        except ValueError:
            return "(unreadable URL)"
        return parts._replace(
            netloc=parts.netloc.rpartition("@")[2], query="", fragment=""
        ).geturl()

    @property
    def is_loopback(self) -> bool:
        """True where the URL points at this machine, which no proxy must come between."""
        try:
            host = urlsplit(self.url).hostname or ""
        except ValueError:
            return False
        host = host.rstrip(".")
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


EndpointSource = Callable[[], Awaitable[Endpoint]]
"""Asked before each attempt, since a server of our own may have moved to another port or need to
be started. May raise ConnectError (tried again) or FatalConnectError (given up)."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All limits of the connection, in seconds."""

    connect: float = 60.0
    """How long `connect` waits, and the longest an endpoint source may take."""
    attempt: float = 10.0
    """One attempt: name, TCP, TLS and upgrade together."""
    request: float = 3600.0
    """From sending a request to its answer, unless the call says otherwise."""
    ping_interval: float = 20.0
    ping_timeout: float = 90.0
    send: float = 10.0
    """Until the socket takes a message's bytes."""
    close_frame: float = 1.5
    """Until the peer answers our close frame; then the socket is aborted."""
    close: float = 5.0
    """All of `aclose`."""
    probe: float = 5.0
    """The ping timeout when there is a reason to doubt the link, such as a wake from suspend."""
    quiet: float = 120.0
    """Without any message while a request is out, until ServerQuiet is reported; ends nothing."""
