"""`kbtui ingest` against a KBV2 server as recorded, both as processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kbv2.recordings import versions
from tests.make_data import mixed_folder
from tests.processes import events, last_states, run_kbtui


@pytest.fixture(params=versions())
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a replaying server of one version."""
    command = [sys.executable, "-m", "tests.kbv2.replay", "--version", request.param, "--port", "0"]
    process = subprocess.Popen([*command, "--speed", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        yield line.split()[-1]
    finally:
        process.terminate()
        process.communicate()


def test_a_folder_goes_through(server: str, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    mixed_folder(folder, 20)
    first = run_kbtui("ingest", folder, "--server", server, "--json", home=home)
    assert first.returncode == 0, first.stderr
    assert events(first.stdout)[-1]["completed"] == 20
    assert all(job["document_id"] for job in last_states(first.stdout).values())
    modes = {e["mode"] for e in events(first.stdout) if e.get("state") == "connected"}
    assert modes == {"kbv2"}
    again = run_kbtui("ingest", folder, "--server", server, "--json", home=home)
    assert again.returncode == 0
    assert events(again.stdout)[-1]["skipped"] == 20, "the journal knows what was sent"


def test_it_can_be_searched(server: str, home: Path) -> None:
    found = run_kbtui("search", "anything", "--server", server, "--json", home=home)
    assert found.returncode == 0, found.stderr
