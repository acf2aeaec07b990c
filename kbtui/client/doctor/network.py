"""The checks on the way to the server and on the server itself. Nothing there is changed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import sqlite3
import uuid
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from kbtui.client.doctor import judge
from kbtui.client.doctor.environment import Environment, HttpAnswer
from kbtui.client.doctor.findings import Finding, failed, passed, skipped
from kbtui.client.doctor.judge_local import Place
from kbtui.client.settings import Settings
from kbtui.connection import ConnectError, Endpoint, FatalConnectError, Mode
from kbtui.connection.failures import failure_of
from kbtui.connection.transport import Link, LinkClosed
from kbtui.protocol.codec import encode_request, parse_message
from kbtui.protocol.messages import NATIVE_SUBPROTOCOL, Request, Response
from kbtui.protocol.methods import SEARCH_CHUNKS, Health, SearchParams, as_params

PINGS: Final = 5
ATTEMPT_SECONDS: Final = 3.5
"""One TCP attempt; the addresses are tried side by side."""

GET_SECONDS: Final = 3.5
QUERY: Final = "kbtui doctor"


class ServerChecks:
    """The checks in their order; each leaves behind what the later ones need."""

    def __init__(self, settings: Settings, environment: Environment) -> None:
        self.label = settings.server_label
        self._settings = settings
        self._environment = environment
        self._endpoint = settings.endpoint
        self._proxy: str | None = None
        self._addresses: list[str] = []
        self._health: Health | None = None
        self._answer: HttpAnswer | None = None
        self._link: Link | None = None
        self._reader: asyncio.Task[LinkClosed] | None = None
        self._responses: dict[str, asyncio.Future[Response]] = {}

    async def embedded(self) -> Finding:
        """Find or start the embedded server."""
        try:
            self._endpoint = await self._environment.embedded(self._settings.paths)
        except (ConnectError, FatalConnectError) as error:
            return failed(str(error), "run `kbtui serve` to see the whole of what it says")
        return passed(f"the embedded server runs at {self._endpoint.public_url}")

    async def dns(self) -> Finding:
        """The host's addresses, or those of the proxy in front."""
        self._proxy = self._environment.proxy_for(self._known)
        host, port = self._target
        try:
            self._addresses = await self._environment.resolve(host, port)
        except (OSError, UnicodeError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            return judge.judge_resolution_error(host, reason)
        finding = judge.judge_addresses(host, self._addresses)
        if self._proxy is None:
            return finding
        return passed(f"{finding.detail}; it is the proxy to {self._known.public_url}")

    async def tcp(self) -> Finding:
        """Whether an address accepts connections; the ones that do are tried first from now on."""
        _, port = self._target
        results = await asyncio.gather(*(self._attempt(each, port) for each in self._addresses))
        attempts = dict(zip(self._addresses, results, strict=True))
        self._addresses.sort(key=lambda address: attempts[address] != 0)
        return judge.judge_tcp(port, attempts, proxied=self._proxy is not None)

    async def tls(self) -> Finding:
        """The certificate, for wss."""
        endpoint = self._known
        if not self._secure:
            return judge.judge_plain(near=self._near, token=self._has_token)
        if self._proxy is not None:
            return passed("behind the proxy; the WebSocket below checks the certificate")
        host, port = self._target
        try:
            session = await self._environment.handshake(endpoint, self._addresses[0], port)
        except FatalConnectError as error:
            return failed(str(error), "correct the TLS files")
        except TimeoutError:
            raise
        except OSError as error:
            return judge.judge_tls_error(error, host)
        return judge.judge_tls(session, self._environment.wall())

    async def health(self) -> Finding:
        """What `GET /health` says."""
        path = urlsplit(self._known.url).path
        try:
            self._answer = await self._get(f"{path.removesuffix('/ws')}/health")
        except OSError as error:
            return judge.judge_no_health((error.strerror or str(error) or "no answer").lower())
        except http.client.HTTPException:
            return judge.judge_no_health("what came back is no HTTP")
        finding, self._health = judge.judge_health(self._answer)
        return finding

    async def websocket(self) -> Finding:
        """Open the WebSocket as every run does."""
        if self._health is None or self._health.instance is None:
            count = await self._environment.in_thread(self._ingesting, "journal")
            if count:
                documents = "document is" if count == 1 else "documents are"
                return skipped(
                    f"{count} {documents} being ingested there: on a KBV2 server a second "
                    "connection takes their progress away"
                )
        try:
            self._link = await self._environment.open_link(self._known, self._settings.timeouts)
        except Exception as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                raise
            path = urlsplit(self._known.url).path
            return judge.judge_upgrade(failure_of(error), token=self._has_token, path=path)
        self._reader = asyncio.create_task(self._link.receive(self._receive), name="doctor reader")
        return passed("the WebSocket opens")

    async def protocol(self) -> Finding:
        """Native or KBV2."""
        native = self._open_link.subprotocol == NATIVE_SUBPROTOCOL
        return judge.judge_protocol(Mode.NATIVE if native else Mode.KBV2, self._health)

    async def ping(self) -> Finding:
        """Round trips."""
        seconds: list[float] = []
        with contextlib.suppress(LinkClosed, TimeoutError):
            async with asyncio.timeout(ATTEMPT_SECONDS):
                while len(seconds) < PINGS:
                    seconds.append(await self._open_link.ping())
        return judge.judge_pings(seconds, PINGS)

    async def search(self) -> Finding:
        """Ask for one passage: the smallest request that changes nothing."""
        loop = asyncio.get_running_loop()
        request_id = str(uuid.uuid4())
        answer = self._responses[request_id] = loop.create_future()
        params = as_params(SearchParams(QUERY, 1))
        began = loop.time()
        try:
            await self._open_link.send(encode_request(Request(SEARCH_CHUNKS, params, request_id)))
        except LinkClosed as closed:
            return failed(f"the connection ended: {closed}", "look into the server's log")
        assert self._reader is not None
        await asyncio.wait({answer, self._reader}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return judge.judge_search(answer.result(), loop.time() - began)
        return failed(
            f"the connection ended before the answer: {self._reader.result()}",
            "look into the server's log",
        )

    async def clock(self) -> Finding:
        """The server's clock, from whichever of its HTTP answers tells the time."""
        answer = self._answer
        if answer is not None and answer.date is None:
            # Asked without an upgrade, the WebSocket's path does nothing.
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = await self._get(urlsplit(self._known.url).path)
        if answer is None:
            return skipped("the server gave no HTTP answer")
        return judge.judge_clock(answer.date, answer.asked_at)

    def place(self) -> Place:
        """Where the server runs, as far as that can be seen."""
        if self._settings.endpoint is None:
            return Place.EMBEDDED
        native = self._link is not None and self._link.subprotocol == NATIVE_SUBPROTOCOL
        if native and self._settings.policy.upload is not None:
            return Place.ANYWHERE
        if self._near:
            return Place.HERE
        if self._proxy is None and any(map(self._environment.is_own_address, self._addresses)):
            return Place.HERE
        return Place.ELSEWHERE

    async def aclose(self) -> None:
        """Close the WebSocket."""
        if self._link is not None:
            await self._link.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait({self._reader})

    @property
    def _known(self) -> Endpoint:
        if self._endpoint is None:
            raise RuntimeError("the embedded server was not looked for")
        return self._endpoint

    @property
    def _open_link(self) -> Link:
        if self._link is None:
            raise RuntimeError("the WebSocket is not open")
        return self._link

    @property
    def _secure(self) -> bool:
        return urlsplit(self._known.url).scheme == "wss"

    @property
    def _near(self) -> bool:
        return self._known.is_loopback

    @property
    def _has_token(self) -> bool:
        return self._known.token is not None

    @property
    def _target(self) -> tuple[str, int]:
        """Host and port of the first hop."""
        parts = urlsplit(self._proxy or self._known.url)
        secure = parts.scheme in ("wss", "https")
        return parts.hostname or "", parts.port or (443 if secure else 80)

    async def _attempt(self, address: str, port: int) -> int | None:
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await self._environment.connect(address, port)
        except OSError as error:
            return judge.NOT_ANSWERED if error.errno in (None, errno.ETIMEDOUT) else error.errno
        return 0

    async def _get(self, path: str) -> HttpAnswer:
        parts = urlsplit(self._known.url)
        host = parts.netloc.rpartition("@")[2]
        url = urlunsplit(("https" if self._secure else "http", host, path or "/", "", ""))
        environment, endpoint, proxy = self._environment, self._known, self._proxy
        return await environment.in_thread(
            lambda: environment.get(endpoint, url, proxy, GET_SECONDS), "http"
        )

    def _ingesting(self) -> int:
        try:
            return self._environment.ingesting(
                self._settings.paths.state, self._settings.server_key
            )
        except (OSError, sqlite3.Error):
            return 0  # the check of the journal has told of it

    def _receive(self, raw: str | bytes) -> None:
        message = parse_message(raw)
        if isinstance(message, Response) and isinstance(message.id, str):
            waiting = self._responses.get(message.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
