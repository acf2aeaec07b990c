"""What a run of kbtui is told: which server, where its files are, how to treat documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from kbtui.connection import Endpoint, Timeouts
from kbtui.ingest.policy import QueuePolicy
from kbtui.paths import Paths

DEFAULT_PORT = 8765


class SettingsError(Exception):
    """A setting cannot be used; the text says which and what to write instead."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the engine needs. `endpoint` None means the embedded server; `domain` is
    where documents go that are added without one."""

    paths: Paths
    endpoint: Endpoint | None = None
    domain: str | None = None
    policy: QueuePolicy = field(default_factory=QueuePolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)

    @property
    def server_label(self) -> str:
        """The server's name for people."""
        return "embedded server" if self.endpoint is None else self.endpoint.public_url

    @property
    def server_key(self) -> str:
        """The server's name in the journal: the same at every start, whatever port it got."""
        if self.endpoint is None:
            return f"embedded:{self.paths.data}"
        return self.endpoint.public_url


def endpoint_from(url: str, token: str | None) -> Endpoint:
    """Check a server's URL. Raises SettingsError with a sentence."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SettingsError(
            f"the server URL {url!r} cannot be read: is its port a number?"
        ) from None
    if parts.scheme not in ("ws", "wss") or not host:
        raise SettingsError(
            f"the server URL {url!r} must look like ws://HOST:PORT/ws or wss://HOST:PORT/ws"
        )
    return Endpoint(url, token)


def url_of(host: str, port: int) -> str:
    """KBV2's WebSocket URL on a host, which may be an IPv6 address."""
    return f"ws://[{host}]:{port}/ws" if ":" in host else f"ws://{host}:{port}/ws"
