"""The engine behind every front end: connection, queue, journal and store, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from kbtui.client.embedded import EmbeddedServer
from kbtui.client.eventlog import EventLog
from kbtui.client.settings import Settings
from kbtui.client.watching import FolderWatch, Tell
from kbtui.connection import ConnectionService
from kbtui.ingest.discover import Discovery, discover
from kbtui.ingest.jobs import Job
from kbtui.ingest.journal import Journal
from kbtui.ingest.queue import IngestQueue
from kbtui.protocol.methods import (
    SEARCH_CHUNKS,
    SEARCH_ENTITIES,
    ChunkHits,
    EntityHits,
    InvalidShape,
    SearchParams,
    as_params,
    shaped,
)
from kbtui.state.store import Store
from kbtui.watch import RootStatus, WatchPolicy

T = TypeVar("T")

SEARCH_SECONDS: Final = 60.0
"""The longest wait for a search; a KBV2 server that is ingesting answers nothing meanwhile."""


class CallFailed(Exception):
    """The server answered a call with an error; the text is its sentence."""


@dataclass(frozen=True, slots=True)
class AddReport:
    """What became of the paths that were added: how many are queued, and what is not and why."""

    queued: int
    refused: list[tuple[str, str]]


class Engine:
    """One server, one connection service, one queue, one store, in the running event loop.

    `start` it, use it, `aclose` it; for a search alone connecting `service` is enough. The front
    end draws from `store` and subscribes to `queue` and `service` where it wants each event.
    """

    def __init__(self, settings: Settings, *, adopt_all: bool) -> None:
        """`adopt_all`: continue whatever an ended kbtui left unfinished for this server."""
        self._adopt_all = adopt_all
        self.settings = settings
        self.server_label = settings.server_label
        self.store = Store()
        self.service = ConnectionService(
            settings.endpoint or EmbeddedServer(settings.paths), timeouts=settings.timeouts
        )
        self._event_log = EventLog()
        self.service.subscribe(self._event_log.connection)
        self.service.subscribe(self.store.apply)
        self._journal: Journal | None = None
        self._queue: IngestQueue | None = None
        self._started = asyncio.Event()
        self._folders: FolderWatch | None = None

    @property
    def queue(self) -> IngestQueue:
        """The queue; there is one once `start` has returned."""
        if self._queue is None:
            raise RuntimeError("the engine is not started")
        return self._queue

    @property
    def unfinished(self) -> int:
        """Documents that are queued or running."""
        return 0 if self._queue is None else self._queue.unfinished

    async def start(self) -> None:
        """Open the journal and begin to connect. Raises JournalError with a sentence."""
        self.service.start()
        await asyncio.to_thread(self.settings.paths.make)
        self._journal = await Journal.open(self.settings.paths.state)
        self._queue = IngestQueue(
            self.service, self._journal, self.settings.server_key, self.settings.policy
        )
        self._queue.subscribe(self._event_log.ingest)
        self._queue.subscribe(self.store.apply)
        self._queue.start()
        if self._adopt_all:
            adopted = await self._queue.adopt()
            if adopted:
                self.store.note("info", f"continuing {len(adopted)} unfinished documents")
        self._started.set()
        if self._folders is not None:
            self._folders.start()

    async def watch(
        self,
        roots: Sequence[Path],
        policy: WatchPolicy | None = None,
        tell: Tell | None = None,
    ) -> None:
        """Have `start` watch folders, whose files are queued as they settle, until `aclose`.

        `tell` hears how the folders are doing; without it, that goes into the store's log. Raises
        WatchError with a sentence, RootBusy among them.
        """
        self._folders = await asyncio.to_thread(
            FolderWatch,
            roots,
            self.settings.paths.state / "watched",
            self._take_settled,
            policy or WatchPolicy(),
            tell or self.store.note,
        )

    @property
    def watched(self) -> tuple[RootStatus, ...]:
        """How each watched folder is doing."""
        return () if self._folders is None else self._folders.status

    async def add(
        self, paths: Sequence[Path], *, domain: str | None = None, name: str | None = None
    ) -> AddReport:
        """Queue files and what lies in folders, in `domain` or the settings' one.

        Raises JournalError with a sentence.
        """
        await self._started.wait()
        found = await asyncio.to_thread(discover, paths)
        jobs = await self.add_files(found, domain=domain, name=name)
        refused = [(str(refusal.path), refusal.reason) for refusal in found.refusals]
        return AddReport(len(jobs), refused)

    async def add_files(
        self, found: Discovery, *, domain: str | None = None, name: str | None = None
    ) -> list[Job]:
        """Queue discovered files; those that an ended kbtui left unfinished are continued."""
        continued = await self.queue.adopt(found.files)
        domain = domain or self.settings.domain
        return continued + await self.queue.add(found.files, domain=domain, name=name)

    async def search_chunks(self, query: str, limit: int = 20) -> ChunkHits:
        """Passages that answer `query`. Raises CallFailed or a connection error."""
        return await self._call(SEARCH_CHUNKS, SearchParams(query, limit), ChunkHits)

    async def search_entities(self, query: str, limit: int = 20) -> EntityHits:
        """Entities that answer `query`; raises as `search_chunks` does."""
        return await self._call(SEARCH_ENTITIES, SearchParams(query, limit), EntityHits)

    def reconnect_now(self) -> None:
        """Try to connect at once instead of waiting out the backoff."""
        self.service.reconnect_now()

    async def cancel(self, job_id: str) -> str | None:
        """Cancel a queued or, on a native server, a running document; None, or why not."""
        return await self.queue.cancel(job_id)

    async def retry(self, job_id: str) -> str | None:
        """Queue an ended document again; None, or why it cannot be."""
        return await self.queue.retry(job_id)

    async def aclose(self) -> None:
        """End everything in order; queued and running documents stay in the journal."""
        if self._folders is not None:
            await self._folders.aclose()
        if self._queue is not None:
            await self._queue.aclose()
        await self.service.aclose()
        if self._journal is not None:
            await self._journal.aclose()

    async def _take_settled(self, _root: Path, paths: Sequence[Path]) -> list[Path]:
        """Queue what has settled. A file that is queued or running already is not taken: what it
        has become is offered again later."""
        jobs = await self.queue.add(paths, domain=self.settings.domain)
        return [Path(job.path) for job in jobs]

    async def _call(self, method: str, params: msgspec.Struct, kind: type[T]) -> T:
        response = await self.service.request(method, as_params(params), timeout=SEARCH_SECONDS)
        if response.error is not None:
            raise CallFailed(response.error)
        return _shaped_result(kind, response.result, method)


def _shaped_result(kind: type[T], result: Any, method: str) -> T:
    try:
        return shaped(kind, result)
    except InvalidShape as error:
        raise CallFailed(f"the server's answer to {method} is not understood: {error}") from None
