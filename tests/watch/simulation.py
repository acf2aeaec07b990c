"""A watcher over real files on virtual time, with hints and failures that the test makes."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from kbtui.watch import RootStatus, Watcher, WatchPolicy
from tests.virtual_clock import VirtualClockLoop

SETTLE = 5.0
LONG = 200.0
"""Virtual seconds within which everything there is has been handed over, hints or not."""

_times = itertools.count(1_700_000_000_000_000_000, 1_000_000_007)


def put(path: Path, content: bytes) -> None:
    """Write a file as if time had passed: the clock of a file system is too coarse for a test
    that jumps over seconds."""
    path.write_bytes(content)
    touch(path)


def touch(path: Path) -> None:
    """Give a file a modification time that it never had."""
    at = next(_times)
    os.utime(path, ns=(at, at))


def move_in(root: Path, name: str, files: dict[str, bytes], outside: Path) -> None:
    """Move a folder with these files into the root."""
    source = outside / f"outside-{next(_times)}"
    for relative, content in files.items():
        path = source / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        put(path, content)
    source.rename(root / name)


async def inline(work: Callable[..., Any], /, *args: Any) -> Any:
    """In place of a thread, which virtual time would not wait for."""
    return work(*args)


class Simulation:
    """Runs a watcher. What it hands over is in `taken`: path, content, virtual time."""

    def __init__(self, *roots: Path, policy: WatchPolicy | None = None) -> None:
        self.taken: list[tuple[Path, bytes, float]] = []
        self.take: Callable[[Path, Sequence[Path]], Collection[Path]] = lambda _, paths: paths
        self.scans: list[float] = []
        self._broken: AssertionError | None = None
        self.sources = 0
        self.no_source: Exception | None = None
        self.loop = VirtualClockLoop()
        self._hints: dict[Path, asyncio.Queue[Exception | None]] = {
            root: asyncio.Queue() for root in roots
        }
        self.watcher = Watcher(
            roots,
            self._on_ready,
            policy=policy or WatchPolicy(settle=SETTLE),
            on_status=self._on_status,
            source=self._source,
            offload=self._offload,
        )
        self._task = self.loop.create_task(self.watcher.run())

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self._task.cancel()
        self.loop.run_until_complete(asyncio.wait({self._task}))
        assert self._task.cancelled()
        assert not asyncio.all_tasks(self.loop)
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    @property
    def now(self) -> float:
        return self.loop.time()

    @property
    def status(self) -> RootStatus:
        return self.watcher.status[0]

    @property
    def names(self) -> list[str]:
        """The names of what was handed over, in order."""
        return [path.name for path, _, _ in self.taken]

    def hint(self, failure: Exception | None = None) -> None:
        """Something has changed; or the events fail."""
        for queue in self._hints.values():
            queue.put_nowait(failure)

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))
        assert not self._task.done()
        if self._broken is not None:  # the watcher takes it for a failure and goes on
            raise self._broken

    async def _source(self, root: Path) -> AsyncGenerator[None, None]:
        self.sources += 1
        if self.no_source is not None:
            raise self.no_source
        if not root.is_dir():
            raise FileNotFoundError(root)
        yield
        while True:
            failure = await self._hints[root].get()
            if failure is not None:
                raise failure
            yield

    def _offload(self, work: Callable[..., Any], /, *args: Any) -> Awaitable[Any]:
        if work.__name__ == "scan":
            self.scans.append(self.loop.time())
        return inline(work, *args)

    async def _on_ready(self, root: Path, paths: Sequence[Path]) -> Collection[Path]:
        try:
            taken = self.take(root, paths)
        except AssertionError as broken:
            self._broken = broken
            raise
        self.taken += [(path, path.read_bytes(), self.now) for path in taken]
        return taken

    def _on_status(self, status: RootStatus) -> None:
        assert status.root in self._hints
