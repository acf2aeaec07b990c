"""The database's two threads: one writes, one reads, and neither is the event loop's."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from kbtui.server.store.schema import connect

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """Runs functions of a connection on the writer thread or on the reader thread.

    With write-ahead logging a reader never waits for the writer, and sees whole documents only.
    """

    def __init__(self, path: Path) -> None:
        self._writing = connect(path)
        self._reading = connect(path)
        self._reading.execute("PRAGMA query_only = ON")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="search")

    async def read(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Runs `function(connection, ...)` on the reader thread."""
        return await asyncio.get_running_loop().run_in_executor(
            self._reader, lambda: function(self._reading, *args, **kwargs)
        )

    async def write(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Runs `function(connection, ...)` on the writer thread, in turn."""
        return await asyncio.get_running_loop().run_in_executor(
            self._writer, lambda: function(self._writing, *args, **kwargs)
        )

    async def aclose(self) -> None:
        """Waits for what runs or waits on both threads, then closes the database."""
        await asyncio.to_thread(self._shut_down)

    def _shut_down(self) -> None:
        for executor, connection in ((self._reader, self._reading), (self._writer, self._writing)):
            executor.shutdown()
            connection.close()
