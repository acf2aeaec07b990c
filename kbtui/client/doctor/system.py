"""The environment of a real run: this machine and its network as they are."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib.metadata
import importlib.util
import os
import shutil
import socket
import sqlite3
import ssl
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

from websockets.exceptions import InvalidURI
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from kbtui.client.doctor.environment import HttpAnswer, TlsSession
from kbtui.client.embedded import EmbeddedServer, is_locked
from kbtui.connection import Endpoint, Timeouts
from kbtui.connection.tls import client_context
from kbtui.connection.transport import Link, open_websocket
from kbtui.ingest.jobs import SENT
from kbtui.paths import Paths

T = TypeVar("T")

MOST_BODY: Final = 64 * 1024


class System:
    """This machine and its network as they are."""

    async def in_thread(self, work: Callable[[], T], name: str) -> T:
        """asyncio's own threads would hold up the end of the process: a resolver or a network disk
        can hang for minutes."""
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it is raised in the caller
                done.set_exception(error)
            else:
                done.set_result(result)

        threading.Thread(target=run, name=name, daemon=True).start()
        return await asyncio.wrap_future(done)

    def unusable(self, folder: Path) -> str | None:
        """Try to write where the folder is; where it is not yet, whether it can be made."""
        place = _existing(folder)
        if not place.is_dir():
            return f"{place} is no folder"
        try:
            if place == folder:
                tempfile.TemporaryFile(dir=folder).close()
            elif not os.access(place, os.W_OK | os.X_OK):
                return f"it cannot be made: {place} is not writable"
        except OSError as error:
            return error.strerror or str(error)
        return None

    def free_bytes(self, folder: Path) -> int:
        """What this user may still write."""
        return shutil.disk_usage(_existing(folder)).free

    def memory_bytes(self) -> int | None:
        """Linux: what can be had without swapping. Elsewhere None."""
        try:
            lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        except OSError:
            return None
        kibibytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
        return int(kibibytes[0]) * 1024 if kibibytes else None

    def has_module(self, name: str) -> bool:
        """By its spec."""
        return importlib.util.find_spec(name) is not None

    def version_of(self, distribution: str) -> str | None:
        """By its metadata."""
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            return None

    def ingesting(self, state: Path, server: str) -> int:
        """Looks into the journal without changing it; 0 where there is none."""
        path = state / "journal.db"
        if not path.exists():
            return 0
        marks = ", ".join("?" * len(SENT))
        with closing(sqlite3.connect(path, timeout=1.0)) as connection:
            rows = connection.execute(
                f"SELECT owner, count(*) FROM jobs WHERE server=? AND state IN ({marks}) "
                "GROUP BY owner",
                (server, *SENT),
            ).fetchall()
        return sum(count for owner, count in rows if is_locked(state / "owners" / owner))

    def journal_schema(self, state: Path) -> int | None:
        """Takes the lock that every write takes, and has SQLite look for damage."""
        path = state / "journal.db"
        if not path.exists():
            return None
        with closing(sqlite3.connect(path, timeout=2.0, isolation_level=None)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (damage,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if damage != "ok":
                raise sqlite3.DatabaseError(damage)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        return int(version)

    def is_own_address(self, address: str) -> bool:
        """A socket can be bound to one's own addresses only."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((address.partition("%")[0], 0))
        except OSError:
            return False
        return True

    def wall(self) -> float:
        """The wall clock."""
        return time.time()

    def get(self, endpoint: Endpoint, url: str, proxy: str | None, timeout: float) -> HttpAnswer:
        """Through the proxy where there is one."""
        proxies = {} if proxy is None else {"http": proxy, "https": proxy}
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler(proxies),
            urllib.request.HTTPSHandler(context=_context(endpoint)),
        )
        began = self.wall()
        try:
            answer = opener.open(url, timeout=timeout)
        except urllib.error.HTTPError as error:
            answer = error
        except urllib.error.URLError as error:
            if isinstance(error.reason, OSError):
                raise error.reason from None
            raise
        with answer:
            middle = (began + self.wall()) / 2
            body = answer.read(MOST_BODY)
            return HttpAnswer(answer.status, body, answer.headers.get("Date"), middle)

    def proxy_for(self, endpoint: Endpoint) -> str | None:
        """As the connection decides it: none for this machine, else the environment's."""
        if endpoint.is_loopback:
            return None
        try:
            return get_proxy(parse_uri(endpoint.url))
        except (InvalidURI, ValueError):
            return None

    async def embedded(self, paths: Paths) -> Endpoint:
        """As every run does."""
        return await EmbeddedServer(paths)()

    async def resolve(self, host: str, port: int) -> list[str]:
        """Each address once."""
        found = await self.in_thread(
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), "name resolution"
        )
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def connect(self, address: str, port: int) -> None:
        """Nothing is sent."""
        _, writer = await asyncio.open_connection(address, port)
        writer.close()

    async def handshake(self, endpoint: Endpoint, address: str, port: int) -> TlsSession:
        """With the host name from the URL."""
        host = parse_uri(endpoint.url).host
        _, writer = await asyncio.open_connection(
            address, port, ssl=_context(endpoint), server_hostname=host
        )
        try:
            shown = writer.get_extra_info("ssl_object")
            certificate: dict[str, Any] = shown.getpeercert() or {}
            end = certificate.get("notAfter")
            return TlsSession(
                version=shown.version() or "TLS",
                issuer=_name(certificate.get("issuer", ())),
                not_after=None if end is None else float(ssl.cert_time_to_seconds(end)),
            )
        finally:
            writer.transport.abort()

    async def open_link(self, endpoint: Endpoint, timeouts: Timeouts) -> Link:
        """As every connection is opened."""
        return await open_websocket(endpoint, timeouts)


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    """Whom the connection to `endpoint` trusts."""
    return client_context(endpoint) or ssl.create_default_context()


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


def _name(issuer: Any) -> str:
    fields = dict(pair for part in issuer for pair in part)
    return str(fields.get("organizationName") or fields.get("commonName") or "an unnamed authority")
