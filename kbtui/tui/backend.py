"""What the app needs from the core: the seam between the widgets and everything else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from kbtui.protocol.methods import ChunkHits, EntityHits
from kbtui.state.store import Store


class AddReport(Protocol):
    """What became of an `add`: how many documents were queued, and (path, reason) of the rest."""

    @property
    def queued(self) -> int:
        """How many documents were queued."""
        ...

    @property
    def refused(self) -> Sequence[tuple[str, str]]:
        """(path, reason) of each that was not."""
        ...


class Backend(Protocol):
    """The core as the app sees it. Everything is called from the app's own event loop.

    Errors are exceptions whose `str()` is one clear sentence; the app shows that sentence.
    """

    @property
    def store(self) -> Store:
        """What the widgets draw from."""
        ...

    @property
    def server_label(self) -> str:
        """Which server this is, for people: "embedded server" or a URL."""
        ...

    @property
    def unfinished(self) -> int:
        """How many jobs are queued or running."""
        ...

    async def start(self) -> None:
        """Begin to connect in the background; returns quickly."""
        ...

    async def add(
        self, paths: Sequence[Path], *, domain: str | None = None, name: str | None = None
    ) -> AddReport:
        """Queue files, and every file of folders. `name` is for a single file only."""
        ...

    async def search_chunks(self, query: str, limit: int = 20) -> ChunkHits:
        """Find passages."""
        ...

    async def search_entities(self, query: str, limit: int = 20) -> EntityHits:
        """Find entities."""
        ...

    def reconnect_now(self) -> None:
        """End the wait for the next attempt to connect."""
        ...

    async def cancel(self, job_id: str) -> str | None:
        """Cancel a job; None, or a sentence why that cannot be."""
        ...

    async def retry(self, job_id: str) -> str | None:
        """Queue an ended job again; None, or a sentence why that cannot be."""
        ...

    async def aclose(self) -> None:
        """Close gracefully, within 5 seconds."""
        ...
