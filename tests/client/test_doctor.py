"""The doctor's course on virtual time: limits, what is skipped, what is not done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from kbtui.client.doctor import Check, Examination, Status
from kbtui.client.doctor.environment import HttpAnswer, TlsSession
from kbtui.client.doctor.examination import ALL_SECONDS
from kbtui.client.settings import Settings
from kbtui.connection import Endpoint, Timeouts
from kbtui.connection.transport import LinkClosed
from kbtui.paths import Paths
from tests.virtual_clock import VirtualClockLoop

T = TypeVar("T")

PASS, WARN, FAIL, SKIP = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP
DAY = 86_400.0
NOW = 1_800_000_000.0


class FakeLink:
    """A WebSocket whose server answers everything at once."""

    subprotocol = "kbtui.v1"
    is_open = True

    def __init__(self) -> None:
        self._frames: asyncio.Queue[str] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.closed = False

    async def receive(self, sink: Callable[[str | bytes], None]) -> LinkClosed:
        while True:
            sink(await self._frames.get())

    async def send(self, text: str) -> None:
        self.sent.append(json.loads(text))
        hits = {"chunks": [], "total_count": 0, "query": "q", "limit": 1, "domain": None}
        answer = {"result": hits, "error": None, "id": self.sent[-1]["id"]}
        self._frames.put_nowait(json.dumps(answer))

    async def ping(self) -> float:
        return 0.001

    async def close(self) -> None:
        self.closed = True

    def abort(self) -> None: ...

    async def wait_closed(self) -> None: ...


class FakeEnvironment:
    """All is well, but for what is named in `hangs` (for ever) and `slow` (3 s each)."""

    def __init__(self, *hangs: str, slow: bool = False) -> None:
        self.hangs = hangs
        self.slow = slow
        self.link = FakeLink()
        self.asked: list[str] = []
        self.running = 0
        self.health = {"status": "healthy", "name": "KB", "instance": "i"}

    async def _ask(self, name: str) -> None:
        self.asked.append(name)
        if name in self.hangs:
            await asyncio.Event().wait()
        if self.slow:
            await asyncio.sleep(3)

    async def in_thread(self, work: Callable[[], T], name: str) -> T:
        await self._ask(name)
        return work()

    def unusable(self, folder: Path) -> str | None:
        return None

    def free_bytes(self, folder: Path) -> int:
        return 1 << 40

    def memory_bytes(self) -> int | None:
        return 1 << 40

    def has_module(self, name: str) -> bool:
        return name != "absent"

    def version_of(self, distribution: str) -> str | None:
        return "1.0"

    def ingesting(self, state: Path, server: str) -> int:
        return self.running

    def journal_schema(self, state: Path) -> int | None:
        return 1

    def is_own_address(self, address: str) -> bool:
        return False

    def wall(self) -> float:
        return NOW

    def get(self, endpoint: Endpoint, url: str, proxy: str | None, timeout: float) -> HttpAnswer:
        assert "@" not in url
        return HttpAnswer(200, json.dumps(self.health).encode(), None, NOW)

    def proxy_for(self, endpoint: Endpoint) -> str | None:
        return None

    async def embedded(self, paths: Paths) -> Endpoint:
        await self._ask("embedded")
        return Endpoint("ws://127.0.0.1:1/ws")

    async def resolve(self, host: str, port: int) -> list[str]:
        await self._ask("resolve")
        return ["10.0.0.1", "10.0.0.2"]

    async def connect(self, address: str, port: int) -> None:
        await self._ask("connect")

    async def handshake(self, endpoint: Endpoint, address: str, port: int) -> TlsSession:
        await self._ask("handshake")
        return TlsSession("TLSv1.3", "An Authority", NOW + 100 * DAY)

    async def open_link(self, endpoint: Endpoint, timeouts: Timeouts) -> FakeLink:
        await self._ask("open")
        return self.link


def examine(
    environment: FakeEnvironment,
    *,
    url: str | None = "wss://user:pw@kb.example.org/ws",
    **more: Any,
) -> tuple[dict[str, Check], float]:
    """The checks by name, and how many seconds all of it took."""
    endpoint = None if url is None else Endpoint(url, "s3cret-token")
    settings = Settings(Paths(Path("/d"), Path("/s"), Path("/l")), endpoint)
    paths = [Path("/nowhere/a.md")]

    async def run() -> tuple[dict[str, Check], float]:
        examination = Examination(settings, environment, paths, more.get("modules", ()))
        checks = {check.name: check async for check in examination.run()}
        return checks, asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(run())


def statuses(checks: dict[str, Check]) -> dict[str, Status]:
    return {name: check.finding.status for name, check in checks.items()}


def test_all_is_well() -> None:
    environment = FakeEnvironment()
    checks, _ = examine(environment)
    found = statuses(checks)
    assert list(found) == [
        "folders", "disk", "journal", "libraries", "token", "dns", "tcp", "tls", "health",
        "websocket", "protocol", "ping", "search", "path", "clock", "limits",
    ]  # fmt: skip
    assert found.pop("clock") is SKIP
    assert found.pop("path") is FAIL  # there is no such file
    assert set(found.values()) == {PASS}
    (request,) = environment.link.sent
    assert request["method"] == "kbv2/search_chunks"
    assert request["params"]["limit"] == 1
    assert environment.link.closed


def test_the_embedded_server_is_started_only_where_it_can_run() -> None:
    environment = FakeEnvironment()
    checks, _ = examine(environment, url=None)
    assert checks["server"].finding.status is PASS
    assert checks["tls"].finding.status is PASS
    environment = FakeEnvironment()
    checks, _ = examine(environment, url=None, modules=["absent"])
    assert checks["libraries"].finding.status is FAIL
    assert "absent" in checks["libraries"].finding.detail
    assert "embedded" not in environment.asked
    assert "libraries failed" in checks["search"].finding.detail


@pytest.mark.parametrize(
    ("hanging", "check", "still_done"),
    [
        ("folders", "folders", "search"),
        ("journal", "journal", "search"),
        ("resolve", "dns", "limits"),
        ("connect", "tcp", "limits"),
        ("handshake", "tls", "limits"),
        ("http", "health", "search"),
        ("open", "websocket", "limits"),
    ],
)
def test_what_hangs_fails_by_its_limit_and_the_rest_is_told(
    hanging: str, check: str, still_done: str
) -> None:
    checks, seconds = examine(FakeEnvironment(hanging))
    assert checks[check].finding.status is FAIL
    assert checks[check].finding.next_step
    assert checks[still_done].finding.status is PASS
    assert seconds < 10
    for name, each in checks.items():
        if each.finding.status is SKIP and name != "clock":
            assert each.finding.detail == f"skipped because {check} failed"


def test_all_of_it_ends_in_time() -> None:
    checks, seconds = examine(FakeEnvironment(slow=True))
    assert seconds < 30
    assert seconds >= ALL_SECONDS
    assert f"{ALL_SECONDS:g} s were up" in checks["limits"].finding.detail


def test_a_check_that_breaks_is_told_and_the_rest_is_done() -> None:
    class Broken(FakeEnvironment):
        def version_of(self, distribution: str) -> str | None:
            raise ZeroDivisionError

    checks, _ = examine(Broken())
    assert "broke" in checks["libraries"].finding.detail
    assert checks["search"].finding.status is PASS


def test_a_running_ingestion_keeps_its_progress() -> None:
    environment = FakeEnvironment()
    environment.running = 2
    environment.health = {"status": "healthy", "name": "KBV2"}
    checks, _ = examine(environment)
    assert checks["websocket"].finding.status is SKIP
    assert "2 documents are being ingested" in checks["websocket"].finding.detail
    assert "open" not in environment.asked
    native = FakeEnvironment()
    native.running = 2
    assert examine(native)[0]["websocket"].finding.status is PASS
