"""`kbtui watch --headless` as a real process, with the embedded server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kbtui.client.watching import MOST_TOLD, news
from kbtui.ingest.jobs import ENDED, JobState
from kbtui.watch import RootStatus, WatchMode
from kbtui.watch.scan import Problem
from tests.make_data import mixed_folder
from tests.processes import run_kbtui, start_kbtui, wait_until
from tests.terminal import Terminal


class Service:
    """A running `kbtui watch --headless --json`, read as it speaks."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self.said: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_events, daemon=True),
            threading.Thread(target=self._read_words, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def _read_words(self) -> None:
        assert self.process.stderr is not None
        self.said += iter(self.process.stderr)

    def states(self, path: Path) -> list[str]:
        """The states of a file's jobs, in order, repetitions left out."""
        states: list[str] = []
        for event in list(self.events):
            mine = event["event"] == "job" and event["path"] == str(path)
            if mine and event["state"] not in states[-1:]:
                states.append(event["state"])
        return states

    def wait_for(self, path: Path, state: str, times: int = 1) -> None:
        wait_until(lambda: self.states(path).count(state) >= times, f"{path} {state}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit code, within 5 s."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=5)
        for reader in self._readers:
            reader.join()
        return code


@contextmanager
def service(*arguments: str | Path, home: Path) -> Iterator[Service]:
    process = start_kbtui("watch", "--headless", "--json", *arguments, home=home)
    running = Service(process)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def documents_in(home: Path) -> int:
    path = home / "data" / "knowledge.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM documents").fetchone()[0])


def unfinished(running: Service) -> list[str]:
    """The jobs whose last state is no end."""
    last = {e["job_id"]: e["state"] for e in list(running.events) if e["event"] == "job"}
    return [job_id for job_id, state in last.items() if JobState(state) not in ENDED]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def test_what_is_put_into_a_folder_is_ingested(
    home: Path, folder: Path, documents: Path, tmp_path: Path
) -> None:
    shutil.copy(documents / "tea.md", folder)
    with service("--settle", "0.2", "--domain", "drinks", folder, home=home) as running:
        running.wait_for(folder / "tea.md", "completed")
        shutil.copytree(documents, tmp_path / "more")
        (tmp_path / "more" / "tea.md").unlink()
        (tmp_path / "more").rename(folder / "more")
        (folder / "empty.md").write_bytes(b"")
        (folder / "half.md.part").write_text("not yet")
        for name in ("tidal.pdf", "beekeeping.docx", "lighthouse.html", "sourdough.txt"):
            running.wait_for(folder / "more" / name, "completed")
        (folder / "tea.md").write_text("Green tea is not withered for long. It is steamed.")
        running.wait_for(folder / "tea.md", "completed", times=2)
        refused = run_kbtui("watch", "--headless", folder, home=home)
        assert refused.returncode == 6
        assert "another kbtui watches" in refused.stderr
        assert not refused.stdout
        assert running.end() == 143
        summary = running.events[-1]
        assert summary["event"] == "summary"
        assert (summary["completed"], summary["failed"]) == (6, 0)
        jobs = {e["path"] for e in running.events if e["event"] == "job"}
        assert len(jobs) == 5
        assert any("watching" in line for line in running.said)
    with service("--settle", "0.2", folder, "--domain", "drinks", home=home) as again:
        # The next start offers everything; the server knows the content and skips it.
        for name in ("tea.md", "more/tidal.pdf"):
            again.wait_for(folder / name, "skipped")
        assert again.end(signal.SIGINT) == 130
        assert again.events[-1]["completed"] == 0


def test_a_server_that_is_down_is_waited_for(home: Path, folder: Path, documents: Path) -> None:
    shutil.copy(documents / "tea.md", folder)
    port = free_port()
    with service("--settle", "0.2", "--port", str(port), folder, home=home) as running:
        running.wait_for(folder / "tea.md", "queued")
        wait_until(lambda: sum("retry_in" in e and bool(e["retry_in"]) for e in running.events) > 1,
                   "attempts to connect")  # fmt: skip
        server = start_kbtui("serve", "--port", str(port), "--root", folder, home=home)
        try:
            running.wait_for(folder / "tea.md", "completed")
            assert running.end() == 143
        finally:
            server.terminate()
            server.communicate(timeout=20)


def test_killed_and_started_again_it_loses_nothing_and_stores_nothing_twice(
    home: Path, folder: Path
) -> None:
    files = mixed_folder(folder, 40)
    with service("--settle", "0.2", folder, home=home) as running:
        wait_until(lambda: any(e.get("state") == "completed" for e in running.events), "some")
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
    with service("--settle", "0.2", folder, home=home) as again:
        wait_until(lambda: documents_in(home) >= 40, "all documents")
        wait_until(lambda: not unfinished(again), "the rest")
        assert again.end() == 143
    assert documents_in(home) == len(files) == 40


def test_in_the_app(home: Path, folder: Path, documents: Path) -> None:
    with Terminal("watch", "--settle", "0.2", folder, home=home) as app:
        app.expect("watching, 0 documents there")
        shutil.copy(documents / "tea.md", folder)
        app.expect("tea.md")
        app.expect("completed")
        refused = run_kbtui("watch", "--headless", folder, home=home)
        assert refused.returncode == 6
        wait_until(lambda: app.drain(0.01) and documents_in(home), "the document")
        os.kill(app.pid, signal.SIGTERM)
        assert app.wait() == 143
    with Terminal("watch", folder / "missing", home=home) as app:
        app.expect("there is no folder")
        assert app.wait() == 2


def test_plain_lines(home: Path, folder: Path, documents: Path) -> None:
    shutil.copy(documents / "tea.md", folder)
    process = start_kbtui("watch", "--headless", "--settle", "0.2", folder, home=home)
    assert process.stdout is not None
    lines = iter(process.stdout)
    assert next(line for line in lines if line.startswith("completed")).split()[1] == "tea.md"
    process.terminate()
    out, err = process.communicate(timeout=5)
    assert process.returncode == 143
    assert out.splitlines()[-1].startswith("1 completed in")
    assert f"{folder}: watching, 1 document there" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--headless", "missing"], "there is no folder 'missing' to watch"),
        (["--headless", ".", "sub"], "overlap"),
        (["--json", "."], "--json goes with --headless"),
        (["."], "needs a terminal"),
        (["--headless", "--server", "http://x", "."], "must look like ws://"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    home: Path, folder: Path, arguments: list[str], says: str
) -> None:
    (folder / "sub").mkdir()
    done = run_kbtui("watch", *arguments, home=home, cwd=folder)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout


def test_news_are_told_once() -> None:
    root = Path("/in")
    start = RootStatus(root)
    up = RootStatus(root, WatchMode.EVENTS, files=3, last_reconcile=1.0)
    assert news(start, up) == [("info", "/in: watching, 3 documents there")]
    assert news(up, up) == []
    away = RootStatus(root, WatchMode.OFFLINE, reason="not a directory", last_reconcile=2.0)
    assert [level for level, _ in news(up, away)] == ["warning"]
    assert news(away, away) == []
    assert news(away, up) == [("info", "/in: watching, 3 documents there")]
    polling = RootStatus(root, WatchMode.POLLING, reason="limit", last_reconcile=2.0)
    assert news(up, polling) == [("warning", "/in: limit; scanning more often instead")]
    problems = tuple(Problem(f"{number}.md", "permission denied") for number in range(30))
    blocked = RootStatus(root, WatchMode.EVENTS, blocked_by=problems, last_reconcile=2.0)
    told = news(up, blocked)
    assert told[0] == ("warning", "/in/0.md: permission denied")
    assert len(told) == MOST_TOLD + 1
    assert news(blocked, blocked) == []
