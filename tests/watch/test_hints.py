"""The real events of the operating system, and what becomes of files when they fail."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from kbtui.watch import Watcher, WatchMode, WatchPolicy
from kbtui.watch.hints import LIMIT_ADVICE, HintsFailed, _reason, file_hints

FAST = WatchPolicy(settle=0.1, quiet=0.1)
PATIENCE = 30.0
NAMESPACE = ["unshare", "--user", "--map-root-user"]
LIMIT = "/proc/sys/user/max_inotify_watches"


class Taken:
    """What a real watcher has handed over."""

    def __init__(self, root: Path) -> None:
        self.paths: list[Path] = []
        self.watcher = Watcher([root], self._take, policy=FAST, on_status=lambda _: self._tell())
        self._news = asyncio.Event()

    async def _take(self, _: Path, paths: Sequence[Path]) -> Sequence[Path]:
        self.paths += paths
        self._tell()
        return paths

    def _tell(self) -> None:
        self._news.set()

    async def until(self, *paths: Path) -> None:
        async with asyncio.timeout(PATIENCE):
            while not set(paths) <= set(self.paths):
                self._news.clear()
                await self._news.wait()

    async def until_mode(self, mode: WatchMode) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.watcher.status[0].mode is not mode:
                self._news.clear()
                await self._news.wait()


def no_thread_is_left() -> None:
    """The watching threads have been told to end, and do."""
    for thread in threading.enumerate():
        if thread.name.startswith("watch "):
            thread.join(PATIENCE)
            assert not thread.is_alive()


@asynccontextmanager
async def watching(root: Path) -> AsyncIterator[Taken]:
    taken = Taken(root)
    task = asyncio.create_task(taken.watcher.run())
    try:
        yield taken
    finally:
        task.cancel()
        await asyncio.wait({task})
        no_thread_is_left()


async def test_what_is_written_is_heard_of(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE), aclosing(file_hints(tmp_path)) as hints:
        await anext(hints)  # set up
        (tmp_path / "a.md").write_text("x")
        await anext(hints)
    no_thread_is_left()


def test_the_watch_limit_is_explained() -> None:
    error = OSError('OS file watch limit reached. about ["/x"]')
    assert _reason(error) == LIMIT_ADVICE
    assert "failed: it broke" in _reason(RuntimeError("it broke"))


async def test_a_source_that_breaks_says_so(tmp_path: Path) -> None:
    with pytest.raises(HintsFailed, match="file events failed"):
        await anext(file_hints(tmp_path / "\udcff"))


HINTS = """
import asyncio, os, shutil, sys, tempfile
from contextlib import aclosing
from pathlib import Path
import platform, watchfiles  # soon the interpreter's own files may be closed to us
from kbtui.watch.hints import HintsFailed, file_hints

async def main():
    async with asyncio.timeout(20), aclosing(file_hints(root)) as hints:
        await anext(hints)
        (root / "open" / "a.md").write_text("x")
        await anext(hints)
        print("heard")

if sys.argv[1] == "limit":
    Path(sys.argv[2]).write_text("1")
elif os.geteuid() == 0:  # nothing is closed to root
    os.setegid(65534)
    os.seteuid(65534)
root = Path(tempfile.mkdtemp())
try:
    (root / "open").mkdir()
    (root / "closed").mkdir(0o000 if sys.argv[1] == "closed" else 0o700)
    asyncio.run(main())
except HintsFailed as failed:
    print(failed)
finally:
    (root / "closed").chmod(0o700)
    shutil.rmtree(root)
"""


def run_apart(*arguments: str, within: Sequence[str] = ()) -> str:
    """Run HINTS in a process of its own; what it said."""
    done = subprocess.run(
        [*within, sys.executable, "-c", HINTS, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_closed_folder_does_not_end_the_events_of_the_others() -> None:
    assert run_apart("closed") == "heard"


def may_set_a_limit() -> bool:
    """Whether this system has inotify and lets us have a limit of our own."""
    command = [*NAMESPACE, "test", "-w", LIMIT]
    return shutil.which("unshare") is not None and subprocess.run(command).returncode == 0


@pytest.mark.skipif(not may_set_a_limit(), reason="needs a user namespace with its own limit")
def test_a_reached_watch_limit_is_noticed_and_explained() -> None:
    assert run_apart("limit", LIMIT, within=NAMESPACE) == LIMIT_ADVICE


async def test_trees_made_while_watching_are_found(tmp_path: Path) -> None:
    async with watching(tmp_path) as taken:
        await taken.until_mode(WatchMode.EVENTS)
        made = [tmp_path / f"d{number}/x/y/f.md" for number in range(100)]
        for path in made:
            path.parent.mkdir(parents=True)
            path.write_text(str(path))
        await taken.until(*made)
        assert len(taken.paths) == len(made)


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take UTF-8 only")
async def test_a_name_that_is_not_utf8_ends_the_events_and_loses_nothing(tmp_path: Path) -> None:
    async with watching(tmp_path) as taken:
        await taken.until_mode(WatchMode.EVENTS)
        made = [tmp_path / "before.md", tmp_path / "caf\udce9.md", tmp_path / "after.md"]
        for path in made:
            path.write_text(path.name.encode("utf-8", "surrogateescape").hex())
        await taken.until_mode(WatchMode.POLLING)
        await taken.until(*made)
        await taken.until_mode(WatchMode.EVENTS)
        (tmp_path / "later.md").write_text("x")
        await taken.until(tmp_path / "later.md")
        assert len(taken.paths) == 4
