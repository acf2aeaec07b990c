"""A server that does not see our files, or sees them elsewhere: --map and --upload."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kbtui.protocol.announcement import ANNOUNCEMENT_FILE, decode_announcement
from tests.processes import KBTUI, environment, last_states, run_kbtui, wait_until
from tests.resuming import in_store


@pytest.fixture
def server(home: Path, tmp_path: Path) -> Iterator[str]:
    """A server of its own with one root, `tmp_path`/there; gives its URL."""
    (tmp_path / "there").mkdir()
    data = tmp_path / "elsewhere"
    process = subprocess.Popen(
        [
            *(*KBTUI, "serve", "--port", "0", "--root", tmp_path / "there"),
            *("--data", data, "--max-upload", "1"),
        ],
        env=environment(home),
        stdout=subprocess.DEVNULL,
    )

    def url() -> str | None:
        path = data / ANNOUNCEMENT_FILE
        announced = decode_announcement(path.read_bytes()) if path.exists() else None
        return announced.url if announced else None

    try:
        yield wait_until(url, "the server")
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_a_file_that_the_server_does_not_see(home: Path, tmp_path: Path, server: str) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "note.md").write_text("# Note\n\nOnly here.\n")
    (here / "large.txt").write_text("word " * 300_000)
    never = run_kbtui(
        "ingest", here / "note.md", "--server", server, "--upload", "never", "--json", home=home
    )
    assert never.returncode == 1
    assert "outside the folders" in last_states(never.stdout)[str(here / "note.md")]["error"]
    sent = run_kbtui("ingest", here, "--server", server, "--json", home=home)
    assert sent.returncode == 1
    states = last_states(sent.stdout)
    assert states[str(here / "note.md")]["state"] == "completed"
    assert "up to 1,048,576" in states[str(here / "large.txt")]["error"]
    (tmp_path / "there" / "mapped.md").write_text("# Mapped\n\nSeen on both sides.\n")
    (here / "mapped.md").write_text("# Mapped\n\nSeen on both sides.\n")
    mapped = run_kbtui(
        *("ingest", here / "mapped.md", "--server", server, "--upload", "never", "--json"),
        *("--map", f"{here}={tmp_path / 'there'}"),
        home=home,
    )
    assert mapped.returncode == 0, mapped.stdout
    assert last_states(mapped.stdout)[str(here / "mapped.md")]["state"] == "completed"
    assert in_store(tmp_path / "elsewhere") == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--map", "/a"], "LOCAL=REMOTE"),
        (["--map", "/a=b"], "absolute"),
        (["--upload", "maybe"], "--upload"),
    ],
)
def test_bad_usage(arguments: list[str], word: str, home: Path, documents: Path) -> None:
    done = run_kbtui("ingest", documents / "tea.md", *arguments, home=home)
    assert done.returncode == 2
    assert word in done.stderr.splitlines()[-1]
