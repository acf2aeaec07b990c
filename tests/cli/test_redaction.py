"""Secrets stay secret: in no output, in no log, in no form."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.sync.server import ServerConnection, serve

from kbtui.cli import redaction
from kbtui.cli.redaction import keep_secret, redact
from tests.conftest import DATA
from tests.processes import KBTUI, environment, run_kbtui
from tests.serving import serving


@pytest.fixture(autouse=True)
def known_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", [])


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer ***"),
        ("authorization: Basic dXNlcg==", "authorization: Basic ***"),
        ("{'Authorization': 'Bearer s3cret'}", "{'Authorization': 'Bearer ***'}"),
        ("a bearer token is needed", "a bearer token is needed"),
        ("wss://user:p@ss:w0rd@host:1/ws", "wss://***@host:1/ws"),
        ("http://token@host/?a=1", "http://***@host/?a=1"),
        ("ws://h/ws?a=1&token=abc&b=2", "ws://h/ws?a=1&token=***&b=2"),
        ("ws://h/ws?access_token=abc;api_key=d", "ws://h/ws?access_token=***;api_key=***"),
        ("mail me@example.org", "mail me@example.org"),
        ("tokens=3 monkey=4", "tokens=3 monkey=4"),
    ],
)
def test_secrets_by_their_form(text: str, clean: str) -> None:
    assert redact(text) == clean
    assert redact(clean) == clean


@given(
    secret=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=8
    ).filter(lambda text: len(text.strip()) >= 8),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
)
def test_a_known_secret_is_found_however_it_is_quoted(secret: str, before: str, after: str) -> None:
    redaction._known.clear()
    keep_secret(secret)
    for form in (secret, repr(secret), json.dumps(secret), repr(secret.encode())):
        text = redact(f"{before}{form}{after}")
        assert secret not in text
        assert form.strip("b'\"") not in text or set(form.strip("b'\"")) <= {"*"}


async def test_a_token_is_in_no_output_and_no_log(
    home: Path, tmp_path: Path, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "s3cret/tök\\en\"'=%41 <&>"
    monkeypatch.setenv("KBTUI_TEST_TOKEN", token)

    async def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(run_kbtui, *arguments, home=home)

    async with serving(tmp_path / "kb", documents, token=token) as url:
        with_token = ("--server", url, "--token-env", "KBTUI_TEST_TOKEN", "-v")
        done = [
            await run("ingest", documents / "tea.md", *with_token),
            await run("search", "tea", *with_token, "--log-file", home / "search.log"),
        ]
        assert [each.returncode for each in done] == [0, 0], done[0].stderr
    texts = [each.stdout + each.stderr for each in done]
    texts += [file.read_text("ascii") for file in (home / "log").iterdir()]
    texts.append((home / "search.log").read_text("ascii"))
    for form in (token, json.dumps(token)[1:-1], repr(token)[1:-1]):
        assert not any(form in text for text in texts)


def test_a_url_with_a_password_is_not_repeated(home: Path, documents: Path) -> None:
    for url in ("http://me:hunter22@h/", "ws://me:hunter22@h:x/?token=hunter22"):
        done = run_kbtui("ingest", documents / "tea.md", "--server", url, home=home)
        assert done.returncode == 2
        assert "hunter22" not in done.stdout + done.stderr


@pytest.fixture(scope="module")
def telltale() -> Iterator[str]:
    """The URL of a server that answers every request with an error that repeats the token."""

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        header = connection.request.headers["Authorization"]
        token = header.removeprefix("Bearer ")
        for raw in connection:
            error = f"refused {header}: ws://u:{token}@h/?token={token} {token!r} {token}"
            reply = {"result": None, "error": error, "id": json.loads(raw)["id"]}
            connection.send(json.dumps(reply))

    with serve(handle, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/ws"
        server.shutdown()
        thread.join()


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=80))
@settings(max_examples=12, deadline=None)
def test_a_server_that_repeats_the_token_does_not_get_it_into_any_output(
    tmp_path_factory: pytest.TempPathFactory, telltale: str, token: str
) -> None:
    token = f"Zq{token}"  # so that it is no word of our own
    home = tmp_path_factory.mktemp("home")
    texts: list[str] = []
    server = ["--server", telltale, "--token-env", "KBTUI_TEST_TOKEN", "-v"]
    for command in (
        ["doctor", "--json", "--log-file", str(home / "doctor.log")],
        ["ingest", "--json", str(DATA / "tea.md")],
    ):
        done = subprocess.run(
            [*KBTUI, *command, *server],
            env={**environment(home), "KBTUI_TEST_TOKEN": token},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
            text=True,
        )
        assert done.returncode == (0 if command[0] == "doctor" else 1), done.stderr
        texts += [done.stdout, done.stderr]
        assert "refused" in done.stdout
    texts += [Path(entry).read_text("ascii") for entry in os.scandir(home / "log")]
    texts.append((home / "doctor.log").read_text("ascii"))
    for form in (token, json.dumps(token)[1:-1], repr(token)[1:-1]):
        assert not any(form in text for text in texts)
