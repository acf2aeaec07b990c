"""The methods that clients call, from checked parameters to JSON-able results."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from msgspec import convert

from kbtui.protocol import methods
from kbtui.protocol.methods import (
    CancelParams,
    IngestParams,
    IngestResult,
    SearchParams,
    UploadParams,
    shaped,
)
from kbtui.protocol.stages import fraction_done
from kbtui.server.errors import IngestError, KnowledgeBaseError
from kbtui.server.ingestion import IngestCancelled, Listener, UploadWanted
from kbtui.server.jobs import Ingestions
from kbtui.server.knowledge_base import KnowledgeBase
from kbtui.server.records import EntityHit
from kbtui.server.uploads import Uploads

MAX_HITS = 1_000

Method = Callable[[dict[str, Any], Listener], Awaitable[Any]]


class CallError(Exception):
    """A call failed; the text is one sentence for the client."""


class Calls:
    """The knowledge base's methods under their names on the wire."""

    def __init__(
        self, knowledge_base: KnowledgeBase, ingestions: Ingestions, uploads: Uploads
    ) -> None:
        self._kb = knowledge_base
        self._ingestions = ingestions
        self._uploads = uploads
        self._methods: dict[str, Method] = {
            methods.INGEST: self._ingest,
            methods.SEARCH_CHUNKS: self._search_chunks,
            methods.SEARCH_ENTITIES: self._search_entities,
            methods.DOCUMENT_STATUS: self._document_status,
            methods.TEXT_TO_SQL: self._text_to_sql,
            methods.DEDUPLICATE: self._deduplicate,
            methods.CANCEL: self._cancel,
            methods.UPLOAD: self._upload,
        }

    async def call(self, method: str, params: dict[str, Any], listener: Listener) -> Any:
        """Run a method. Raises CallError or InvalidShape with a sentence for the client."""
        handler = self._methods.get(method)
        if handler is None:
            raise CallError(f"Method '{method}' not implemented")
        try:
            return await handler(params, listener)
        except (IngestError, KnowledgeBaseError) as error:
            raise CallError(str(error)) from None

    async def _ingest(self, params: dict[str, Any], listener: Listener) -> Any:
        request = shaped(IngestParams, params)
        try:
            return await self._ingestions.ingest(request, listener)
        except UploadWanted:
            return IngestResult("", status=methods.UPLOAD_WANTED, domain=request.domain)
        except IngestCancelled:
            # A KBV2 client takes every result for a success; it has no keys, and gets an error.
            if request.idempotency_key is None:
                raise
            return IngestResult("", status=methods.CANCELLED, domain=request.domain)

    async def _cancel(self, params: dict[str, Any], _: Listener) -> Any:
        request = shaped(CancelParams, params)
        if (request.idempotency_key is None) == (request.document_id is None):
            raise CallError("give either an idempotency_key or a document_id")
        return await self._ingestions.cancel(request)

    async def _upload(self, params: dict[str, Any], _: Listener) -> Any:
        return await self._uploads.take(shaped(UploadParams, params))

    async def _search_chunks(self, params: dict[str, Any], _: Listener) -> Any:
        query = _checked(shaped(SearchParams, params))
        hits = await self._kb.search_chunks(query.query, query.limit, query.domain)
        return methods.ChunkHits(
            chunks=[convert(hit, methods.ChunkHit, from_attributes=True) for hit in hits],
            total_count=len(hits),
            query=query.query,
            limit=query.limit,
            domain=query.domain,
        )

    async def _search_entities(self, params: dict[str, Any], _: Listener) -> Any:
        query = _checked(shaped(SearchParams, params))
        hits = await self._kb.search_entities(query.query, query.limit)
        return methods.EntityHits(
            entities=[_entity(hit) for hit in hits],
            total_count=len(hits),
            query=query.query,
            limit=query.limit,
            domain=query.domain,
        )

    async def _document_status(self, params: dict[str, Any], _: Listener) -> Any:
        document_id = params.get("document_id")
        if not isinstance(document_id, str):
            raise CallError("document_id is missing")
        known = self._ingestions.of_document(document_id)
        if known is not None and known.status != "duplicate":
            report = known.history.newest
            progress = 0.0
            if known.status == "completed":
                progress = 1.0
            elif report is not None and known.status == "running":
                progress = fraction_done(
                    report.stage or 0, report.status, report.current, report.total
                )
            status = {"document_id": document_id, "status": known.status, "progress": progress}
            if known.status == "failed" and report is not None:
                status["error"] = report.error or ""
            return status
        stored = await self._kb.document(document_id)
        if stored is None:
            return {"document_id": document_id, "status": "not_found", "progress": 0}
        return {"document_id": document_id, "status": "completed", "progress": 1.0}

    async def _text_to_sql(self, params: dict[str, Any], _: Listener) -> Any:
        if not isinstance(params.get("query"), str):
            raise CallError("query is missing")
        # KBV2 puts a failure of this method inside its result.
        error = "text to SQL needs a language model, and this server has none configured"
        return {"sql": "", "results": [], "warnings": [], "error": error}

    async def _deduplicate(self, _params: dict[str, Any], _: Listener) -> Any:
        return await self._kb.deduplicate_entities()


def _checked(params: SearchParams) -> SearchParams:
    if not params.query.strip():
        raise CallError("the query is empty")
    if not 1 <= params.limit <= MAX_HITS:
        raise CallError(f"limit must be from 1 to {MAX_HITS}")
    return params


def _entity(hit: EntityHit) -> methods.EntityHit:
    # KBV2 sends the properties as a JSON text inside the JSON.
    properties = json.dumps(hit.properties, ensure_ascii=False)
    return methods.EntityHit(**{**asdict(hit), "properties": properties})
