"""The ingestions that run in this server, apart from the connections that asked for them."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from kbtui.protocol.methods import (
    CANCELLED,
    CancelParams,
    CancelResult,
    IngestParams,
    IngestResult,
)
from kbtui.server.errors import IngestError, KnowledgeBaseError
from kbtui.server.files import FileDigest, read_content
from kbtui.server.ingestion import (
    IngestCancelled,
    Ingestion,
    Listener,
    Status,
    UploadWanted,
    check_fingerprint,
)
from kbtui.server.knowledge_base import KnowledgeBase
from kbtui.server.records import Source, StoredDocument
from kbtui.server.register import Register
from kbtui.server.uploads import Uploads

log = logging.getLogger(__name__)

CONCURRENT: Final = 3
"""Documents worked on at once: one is parsed while two embed (two embedding threads)."""


class Ingestions:
    """Runs ingestions to their end whatever happens to the connections.

    A second request with the same idempotency key listens to the first one's run, or gets its
    outcome (`IngestParams` says which); one with the same content and `on_duplicate` "skip" waits
    for the first and is answered "duplicate". `on_end` is called whenever an ingestion has ended.
    """

    def __init__(
        self,
        knowledge_base: KnowledgeBase,
        roots: Sequence[Path],
        uploads: Uploads,
        *,
        on_end: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kb = knowledge_base
        self._uploads = uploads
        self._on_end = on_end
        self._roots = tuple(Path(root).resolve() for root in roots)
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._register = Register(clock)
        self._by_content: dict[tuple[str | None, str], Ingestion] = {}

    @property
    def active(self) -> int:
        """How many documents are being worked on or wait for their turn."""
        return len(self._register.running)

    def of_document(self, document_id: str) -> Ingestion | None:
        """The ingestion of a document that is running or has just ended."""
        return self._register.of_document(document_id)

    async def ingest(self, params: IngestParams, listener: Listener) -> IngestResult:
        """Ingest a document, or join the ingestion that its key names; see the class.

        Cancelling the caller leaves the ingestion running. Raises IngestError with one sentence.
        """
        ingestion = self._register.answering(params)
        if ingestion is None and params.idempotency_key is not None:
            stored = await self._kb.find_by_key(params.idempotency_key)
            if stored is not None:
                check_fingerprint(params, stored.domain, stored.sha256)
                return _result(stored, "completed")
            ingestion = self._register.answering(params)  # begun or cancelled while we looked
        if ingestion is None:
            ingestion = self._begin(params)
        ingestion.attach(listener, params)
        try:
            return await asyncio.shield(ingestion.outcome)
        finally:
            ingestion.listeners.discard(listener)

    async def cancel(self, params: CancelParams) -> CancelResult:
        """End an ingestion and leave nothing of it, unless it has ended or is being stored."""
        key, document_id = params.idempotency_key, params.document_id or ""
        ingestion = self._named(params)
        if ingestion is None:
            if key is None:
                stored = await self._kb.document(document_id)
            else:
                stored = await self._kb.find_by_key(key)
            if stored is not None:
                return CancelResult("completed", stored.document_id)
            ingestion = self._named(params)  # its request may have come while we looked
        if ingestion is None:
            if key is None:
                return CancelResult("not_found")
            ingestion = self._cancel_beforehand(key, params.attempt)
        if ingestion.status == "running":
            await ingestion.entered.wait()  # a task that never ran could not tidy up
            if not ingestion.cancelling:
                ingestion.cancelling = True
                ingestion.outcome.cancel()
            await asyncio.wait({ingestion.outcome})
        return CancelResult(ingestion.status, ingestion.document_id)

    async def aclose(self) -> None:
        """Stop every ingestion; what was not stored by then leaves no trace."""
        outcomes = [ingestion.outcome for ingestion in self._register.running.values()]
        for outcome in outcomes:
            outcome.cancel()
        await asyncio.gather(*outcomes, return_exceptions=True)

    def _named(self, params: CancelParams) -> Ingestion | None:
        if params.idempotency_key is not None:
            return self._register.of_key(params.idempotency_key, params.attempt)
        return self.of_document(params.document_id or "")

    def _cancel_beforehand(self, key: str, attempt: int) -> Ingestion:
        """Note as cancelled what is not known: its request may be on its way to us, over a
        connection that is lost by now, and is to change nothing any more."""
        ingestion = Ingestion(
            str(uuid.uuid4()), attempt=attempt, key=key, status="cancelled", anything_fits=True
        )
        ingestion.outcome = asyncio.get_running_loop().create_future()
        ingestion.outcome.set_exception(IngestCancelled())
        _retrieve(ingestion.outcome)
        self._register.add(ingestion)
        self._register.note_end(ingestion)
        return ingestion

    def _begin(self, params: IngestParams) -> Ingestion:
        ingestion = Ingestion(
            document_id=str(uuid.uuid4()),
            domain=params.domain,
            sha256=params.sha256,
            attempt=params.attempt,
            key=params.idempotency_key,
        )
        self._register.add(ingestion)
        ingestion.outcome = asyncio.create_task(
            self._run(ingestion, params), name=f"ingest {ingestion.document_id}"
        )
        ingestion.outcome.add_done_callback(_retrieve)
        return ingestion

    async def _run(self, ingestion: Ingestion, params: IngestParams) -> IngestResult:
        ingestion.entered.set()
        try:
            result = await self._ingest(ingestion, params)
        except UploadWanted:
            self._register.withdraw(ingestion)
            raise
        except IngestError as error:
            message = self._uploads.plainly(error.message)
            self._note_end(ingestion, "failed", message)
            raise IngestError(error.stage, message) from None
        except asyncio.CancelledError:
            if not ingestion.cancelling:
                self._register.withdraw(ingestion)  # the server is being stopped
                raise
            self._note_end(ingestion, "cancelled", CANCELLED)
            raise IngestCancelled from None
        except Exception as error:
            # A store that cannot be read, or a defect of ours: an end like any other.
            log.exception("ingestion of %s failed", ingestion.document_id)
            known = isinstance(error, KnowledgeBaseError)
            message = str(error) if known else "internal error, see the server's log"
            self._note_end(ingestion, "failed", message)
            raise IngestError(0, message) from error
        else:
            self._note_end(ingestion, "duplicate" if result.status == "duplicate" else "completed")
            return result
        finally:
            self._on_end()

    def _note_end(self, ingestion: Ingestion, status: Status, error: str | None = None) -> None:
        ingestion.status = status
        if error is not None:
            ingestion.end(error)
        self._register.note_end(ingestion)

    async def _ingest(self, ingestion: Ingestion, params: IngestParams) -> IngestResult:
        if params.upload is not None and params.on_duplicate == "skip" and params.sha256:
            # What is here already needs neither to be sent nor to be read.
            stored = await self._kb.find_by_content(params.domain, params.sha256)
            if stored is not None:
                return _result(stored, "duplicate")
        async with self._content(ingestion, params) as (path, content):
            ingestion.sha256 = content.sha256
            claim = (params.domain, content.sha256)
            try:
                if params.on_duplicate == "skip":
                    duplicate = await self._claim(claim, ingestion)
                    if duplicate is not None:
                        return duplicate
                async with self._slots:
                    return await self._store(ingestion, params, path, content)
            finally:
                if self._by_content.get(claim) is ingestion:
                    del self._by_content[claim]

    @asynccontextmanager
    async def _content(
        self, ingestion: Ingestion, params: IngestParams
    ) -> AsyncIterator[tuple[Path, FileDigest]]:
        """The file to read: the one sent to us, or the one that we see under its path.

        Raises UploadWanted where there is neither but the client can send it, else IngestError.
        """
        offered = params.upload is not None and params.sha256 is not None
        if offered and params.sha256 is not None and self._uploads.holds(params.sha256):
            name, document_id = params.file_path, ingestion.document_id
            async with self._uploads.lend(params.sha256, document_id, name) as path:
                yield path, FileDigest(params.sha256, path.stat().st_size)
            return
        if offered and params.upload == "always":
            raise UploadWanted(0, "the file is to be sent")
        try:
            path, content = await asyncio.to_thread(
                read_content, params.file_path, self._roots, params.sha256
            )
        except IngestError as error:
            if offered:
                raise UploadWanted(0, error.message) from None
            raise
        yield path, content

    async def _claim(
        self, claim: tuple[str | None, str], ingestion: Ingestion
    ) -> IngestResult | None:
        """Become the one ingestion of this content, or return the document that holds it."""
        while (other := self._by_content.setdefault(claim, ingestion)) is not ingestion:
            # If the other one fails, this one is no duplicate and takes its place.
            with suppress(IngestError):
                result = await asyncio.shield(other.outcome)
                return msgspec.structs.replace(result, status="duplicate")
        stored = await self._kb.find_by_content(*claim)
        return None if stored is None else _result(stored, "duplicate")

    async def _store(
        self, ingestion: Ingestion, params: IngestParams, path: Path, content: FileDigest
    ) -> IngestResult:
        ingestion.started = time.monotonic()
        stored = await self._kb.ingest(
            Source(
                path=path,
                document_id=ingestion.document_id,
                name=params.document_name or path.name,
                domain=params.domain,
                sha256=content.sha256,
                size=content.size,
                idempotency_key=params.idempotency_key,
                origin=params.file_path,
            ),
            ingestion.stage,
        )
        duration = ingestion.end(None)
        log.info("stored %s (%d chunks) in %.2f s", stored.document_id, stored.chunks, duration)
        return _result(stored, "completed")


def _result(stored: StoredDocument, status: str) -> IngestResult:
    return IngestResult(
        document_id=stored.document_id,
        document_name=stored.name,
        status=status,
        domain=stored.domain,
        duration=stored.duration,
    )


def _retrieve(outcome: asyncio.Future[IngestResult]) -> None:
    """Look at the outcome, so that asyncio does not complain when every listener has gone."""
    if not outcome.cancelled() and (error := outcome.exception()) is not None:
        log.info("an ingestion ended: %s", error)
