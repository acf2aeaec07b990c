"""`kbtui doctor` as a real process, against real servers and what pretends to be one."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import pty
import socket
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve

from tests.kbv2.recordings import versions
from tests.kbv2.replay import Faults, ReplayServer
from tests.processes import KBTUI, environment, events, server_pid, start_kbtui
from tests.serving import serving

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Seen:
    """What a run of the doctor said."""

    def __init__(self, returncode: int, stdout: str, stderr: str) -> None:
        self.returncode = returncode
        self.text = stdout + stderr
        *checks, self.summary = events(stdout)
        assert all(
            set(check) == {"event", "name", "status", "detail", "next_step", "seconds"}
            for check in checks
        )
        self.checks = {check["name"]: check for check in checks}
        for check in checks:
            assert bool(check["next_step"]) == (check["status"] in ("warn", "fail")), check
        assert sum(check["seconds"] for check in checks) < 30

    def status(self, name: str) -> str:
        return str(self.checks[name]["status"])

    def failing(self) -> list[str]:
        return [name for name, check in self.checks.items() if check["status"] == "fail"]

    def says(self, name: str) -> str:
        return f"{self.checks[name]['detail']} | {self.checks[name]['next_step']}"


async def doctor(home: Path, *arguments: str | Path, **variables: str) -> Seen:
    process = await asyncio.create_subprocess_exec(
        *KBTUI,
        "doctor",
        "--json",
        *map(str, arguments),
        env={**environment(home), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    assert process.returncode in (0, 3), stderr.decode()
    return Seen(process.returncode, stdout.decode(), stderr.decode())


@asynccontextmanager
async def peer(behave: Peer, **options: Any) -> AsyncIterator[int]:
    """Something that listens; gives its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, **options)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)


async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.org ESMTP\r\n")
    await reader.read(1000)


# The embedded server and this machine.


async def test_the_embedded_server_is_started_and_examined(home: Path, documents: Path) -> None:
    seen = await doctor(home, documents / "tea.md")
    assert seen.returncode == 0, seen.text
    assert seen.summary == {
        "event": "summary", "passed": len(seen.checks), "warned": 0, "failed": 0,
    }  # fmt: skip
    assert "kbtui.v1" in seen.says("protocol")
    assert "nothing is stored yet" in seen.says("search")
    assert str(documents / "tea.md") in seen.says("path")
    pid = server_pid(home)
    assert pid is not None
    again = await doctor(home, home / "missing.md")
    assert server_pid(home) == pid
    assert again.failing() == ["path"]
    assert again.returncode == 3
    with sqlite3.connect(home / "data" / "knowledge.db") as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone() == (0,)
    connection.close()


async def test_a_machine_that_is_not_in_order(home: Path) -> None:
    (home / "log").write_text("a file where the folder should be")
    state = home / "state"
    state.mkdir()
    (state / "journal.db").write_bytes(b"no database at all" * 100)
    seen = await doctor(home, "--port", "1")
    assert seen.status("folders") == "warn"
    assert "damaged" in seen.says("journal")
    (state / "journal.db").unlink()
    with sqlite3.connect(state / "journal.db") as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    assert "newer kbtui" in (await doctor(home, "--port", "1")).says("journal")
    fresh = home / "fresh"
    assert (await doctor(fresh, "--port", "1")).status("journal") == "pass"
    assert not fresh.exists(), "an examination leaves nothing behind"


# Servers.


@pytest.mark.parametrize("version", versions())
async def test_a_kbv2_server_is_asked_for_one_passage_only(home: Path, version: str) -> None:
    async with ReplayServer(version) as server:
        seen = await doctor(home, "--server", server.url, "/etc/hosts")
        assert seen.returncode == 0, seen.text
        assert "KBV2" in seen.says("protocol")
        (request,) = server.requests
        assert request["method"] == "kbv2/search_chunks"
        assert request["params"]["limit"] == 1
        assert not server.ingestions


async def test_a_running_ingestion_is_left_alone(home: Path, documents: Path) -> None:
    async with ReplayServer(versions()[0], faults=Faults(hold_after=3)) as server:
        running = start_kbtui("ingest", documents / "tea.md", "--server", server.url, home=home)
        async with asyncio.timeout(30):
            await server.holding.wait()
        seen = await doctor(home, "--server", server.url)
        assert seen.returncode == 0
        assert seen.status("websocket") == "skip"
        assert "takes their progress away" in seen.says("websocket")
        assert server.connected == 1
        server.release()
        output = await asyncio.to_thread(running.communicate)
        assert running.returncode == 0, output
        assert (await doctor(home, "--server", server.url)).status("search") == "pass"


async def test_tokens(home: Path, tmp_path: Path) -> None:
    token = "s3cret-token-of-the-server"
    async with serving(tmp_path / "kb", tmp_path, token=token) as url:
        server = ("--server", url, "--token-env", "KBTUI_TEST_TOKEN")
        assert (await doctor(home, *server, KBTUI_TEST_TOKEN=token)).returncode == 0
        missing = await doctor(home, "--server", url)
        assert missing.failing() == ["websocket"]
        assert "wants a token" in missing.says("websocket")
        wrong = await doctor(home, *server, KBTUI_TEST_TOKEN="another-token")
        assert "refuses this token" in wrong.says("websocket")
        torn = await doctor(home, *server, KBTUI_TEST_TOKEN=f"{token}\n")
        assert torn.failing() == ["token"]
        assert torn.status("websocket") == "skip"
        for seen in (missing, wrong, torn):
            assert seen.returncode == 3
            assert token not in seen.text
            assert "another-token" not in seen.text


async def test_a_wrong_path(home: Path) -> None:
    async with ReplayServer(versions()[0]) as server:
        seen = await doctor(home, "--server", f"{server.url}/kb")
        assert seen.failing() == ["websocket"]
        assert "403" in seen.says("websocket")
        assert "answer at /ws" in seen.says("websocket")


async def test_no_server_there(home: Path) -> None:
    async with peer(silence) as port:
        pass
    refused = await doctor(home, "--port", str(port))
    assert refused.failing() == ["tcp"]
    assert "nothing listens there" in refused.says("tcp")
    assert refused.checks["search"]["detail"] == "skipped because tcp failed"
    nowhere = await doctor(home, "--server", "ws://no-such-host.invalid/ws")
    assert nowhere.failing() == ["dns"]
    assert "spelling" in nowhere.says("dns")


@pytest.mark.parametrize(
    ("behave", "health", "websocket"),
    [
        (hang_up, "closed connection", "closed the connection"),
        (banner, "no HTTP", "no HTTP"),
    ],
)
async def test_what_is_no_server(home: Path, behave: Peer, health: str, websocket: str) -> None:
    async with peer(behave) as port:
        seen = await doctor(home, "--host", "127.0.0.1", "--port", str(port))
        assert seen.failing() == ["health", "websocket"]
        assert health in seen.says("health")
        assert websocket in seen.says("websocket")
        assert seen.status("search") == "skip"


async def test_what_says_nothing(home: Path) -> None:
    # A full backlog drops what comes, as a firewall does.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        async with peer(silence) as port:
            dropped, silent, secure = await asyncio.gather(
                doctor(home, "--port", str(full.getsockname()[1])),
                doctor(home, "--port", str(port)),
                doctor(home, "--server", f"wss://127.0.0.1:{port}/ws"),
            )
        for each in waiting:
            each.close()
    assert dropped.failing() == ["tcp"]
    assert "firewall" in dropped.says("tcp")
    assert silent.failing() == ["health", "websocket"]
    assert "timed out" in silent.says("health")
    assert "does not answer" in silent.says("websocket")
    assert secure.failing() == ["tls"]


# TLS.


def context_for(authority: trustme.CA, name: str, days: float = 365) -> ssl.SSLContext:
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=until).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize(
    ("name", "days", "status", "words"),
    [
        ("127.0.0.1", 365, "pass", "valid for 36"),
        ("127.0.0.1", 5, "warn", "renew"),
        ("127.0.0.1", -1, "fail", "expired"),
        ("kb.example.org", 365, "fail", "mismatch"),
    ],
)
async def test_certificates(
    home: Path, tmp_path: Path, authority: trustme.CA, name: str, days: float, status: str,
    words: str,
) -> None:  # fmt: skip
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def answer(connection: ServerConnection) -> None:
        async for raw in connection:
            request = json.loads(raw)
            result = {"message": f"Method '{request['method']}' not implemented"}
            reply = {"result": result, "error": None, "id": request["id"]}
            await connection.send(json.dumps(reply))

    context = context_for(authority, name, days)
    async with serve(answer, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"wss://127.0.0.1:{port}/ws"
        seen = await doctor(home, "--server", url, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        assert seen.status("tls") == status
        assert words.lower() in seen.says("tls").lower()
        if status == "fail":
            assert seen.failing() == ["tls"]
            return
        assert seen.returncode == 0
        assert "has no search" in seen.says("search")
        strange = await doctor(home, "--server", url)
        assert strange.failing() == ["tls"]
        assert "SSL_CERT_FILE" in strange.says("tls")


async def test_the_wrong_scheme(home: Path, authority: trustme.CA) -> None:
    async with peer(silence, ssl=context_for(authority, "127.0.0.1")) as port:
        plain = await doctor(home, "--server", f"ws://127.0.0.1:{port}/ws")
        assert "wss://" in plain.says("websocket")
    async with ReplayServer(versions()[0]) as server:
        secure = await doctor(home, "--server", server.url.replace("ws:", "wss:"))
        assert secure.failing() == ["tls"]
        assert "write ws://" in secure.says("tls")


# What a person sees.


def shown(home: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [*KBTUI, "doctor", "--port", "1", *arguments],
        env={**environment(home), **variables},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 3
    assert not done.stderr
    return done.stdout.decode()


def test_plain_lines_are_aligned_with_sign_and_word(home: Path) -> None:
    lines = shown(home, PYTHONIOENCODING="utf-8").splitlines()
    assert not any("\x1b" in line for line in lines)
    checks = [line for line in lines[:-1] if not line.startswith(" ")]
    words = {line[:6].rstrip(): line[8:17].rstrip() for line in checks}
    assert set(words) == {"✓ pass", "✗ fail", "- skip"}
    assert words["✗ fail"] == "tcp"
    assert all(line[18] == " " and line[19] != " " for line in checks)
    assert any(line.startswith(f"{'':19}next: nothing listens there") for line in lines)
    assert lines[-1].endswith("passed, 0 warned, 1 failed")
    ascii_only = shown(home, PYTHONIOENCODING="ascii")
    assert "x fail  tcp" in ascii_only
    assert ascii_only.isascii()
    quiet = shown(home, "--quiet").splitlines()
    assert len(quiet) == 2
    assert "tcp" in quiet[0]


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colours_on_a_terminal_only(home: Path, variables: dict[str, str], coloured: bool) -> None:
    ours, theirs = pty.openpty()
    plain = {k: v for k, v in environment(home).items() if k not in ("NO_COLOR", "TERM")}
    with subprocess.Popen(
        [sys.executable, "-m", "kbtui", "doctor", "--port", "1", "-q"],
        env={**plain, **variables},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
    ):
        os.close(theirs)
        output = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # Linux says so when the other end is closed
                break
            if not chunk:
                break
            output += chunk
    os.close(ours)
    assert (b"\x1b[31m" in output) == coloured
    assert b"fail" in output


def test_usage(home: Path) -> None:
    for wrong in (["--server", "http://h/"], ["--token-env", "KBTUI_NO_SUCH"], ["--map", "x"]):
        done = subprocess.run(
            [*KBTUI, "doctor", *wrong], env=environment(home), capture_output=True, check=False
        )
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
