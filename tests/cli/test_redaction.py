"""Secrets stay secret: in no output, in no log, in no form."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbtui.cli import redaction
from kbtui.cli.redaction import keep_secret, redact
from tests.processes import run_kbtui
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
