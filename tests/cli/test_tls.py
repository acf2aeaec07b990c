"""`wss://` from the command line: whom to trust, and the certificate to show."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.connection.tls import Files, make_files
from tests.processes import events, run_kbtui
from tests.serving import serving


@pytest.fixture
def files(tmp_path: Path) -> Files:
    folder = tmp_path / "tls"
    folder.mkdir()
    return make_files(folder)


@asynccontextmanager
async def behind_tls(url: str, context: ssl.SSLContext) -> AsyncIterator[str]:
    """What a reverse proxy does: TLS outside, the plain server inside; gives the outer URL."""
    port = urlsplit(url).port

    async def pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    try:
        yield f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
    finally:
        server.close()


async def test_an_authority_and_a_client_certificate(
    home: Path, tmp_path: Path, documents: Path, files: Files
) -> None:
    context = files.serving("127.0.0.1", ask_client=True)
    async with serving(tmp_path / "kb", documents) as plain, behind_tls(plain, context) as url:
        shown = ["--ca", files.ca_file, "--cert", files.client_certificate]
        done = await asyncio.to_thread(
            run_kbtui, "ingest", documents, "--server", url, *shown, "--json", home=home
        )
        assert done.returncode == 0, done.stderr
        assert events(done.stdout)[-1]["completed"] == 5
        doctor = await asyncio.to_thread(
            run_kbtui, "doctor", "--server", url, *shown, "--json", home=home
        )
        assert doctor.returncode == 0, doctor.stdout
        checks = {e["name"]: e["status"] for e in events(doctor.stdout) if e["event"] == "check"}
        assert checks["tls"] in ("pass", "warn")
        assert checks["health"] == "pass"


async def test_an_unknown_authority_is_not_trusted(
    home: Path, tmp_path: Path, documents: Path, files: Files
) -> None:
    context = files.serving("127.0.0.1")
    async with serving(tmp_path / "kb", documents) as plain, behind_tls(plain, context) as url:
        done = await asyncio.to_thread(run_kbtui, "ingest", documents, "--server", url, home=home)
        assert done.returncode == 3
        assert "certificate" in done.stderr


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--ca", "missing.pem", "--server", "wss://127.0.0.1:1/ws"], "missing.pem"),
        (["--ca", "missing.pem", "--server", "ws://127.0.0.1:1/ws"], "wss://"),
        (["--key", "key.pem", "--server", "wss://127.0.0.1:1/ws"], "key.pem"),
        (["--ca", "missing.pem"], "--server"),
    ],
)
def test_files_that_cannot_be_used_are_a_matter_of_usage(
    options: list[str], word: str, home: Path, documents: Path
) -> None:
    done = run_kbtui("ingest", documents, *options, home=home)
    assert done.returncode == 2
    assert word in done.stderr
