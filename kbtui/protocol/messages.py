"""The messages of the wire, typed: what a server sends and what a client asks."""

from __future__ import annotations

from typing import Any

import msgspec

NATIVE_SUBPROTOCOL = "kbtui.v1"
"""The WebSocket subprotocol of a server that numbers its progress and knows idempotency keys.
A server that selects no subprotocol is spoken to as KBV2."""

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""The largest frame either side takes: what KBV2's server (uvicorn) allows."""

RequestId = str | int | None
"""What a response may carry as its id. We send strings; KBV2 may echo other clients' integers."""


class Request(msgspec.Struct, frozen=True):
    """A call: `method` with `params`, answered by the one response with the same `id`."""

    method: str
    params: dict[str, Any]
    id: RequestId = None


class Response(msgspec.Struct, frozen=True):
    """The answer to one request. Only an answer with our id decides an outcome.

    `error` is a sentence, or None where the call succeeded; `result` is then whatever the method
    returns. Both None means that the server said nothing, which is no success.
    """

    id: RequestId
    result: Any = None
    error: str | None = None


class Progress(msgspec.Struct, frozen=True):
    """A report on a running ingestion.

    `stage` is the number that the server sent, or the place of its named step among the stages,
    or None where neither could be read; `label` is the server's own word for it where it sent a
    name. `duration` is in seconds, `timestamp` in epoch seconds; KBV2 sends both with the first and
    the last report of a document only. `request_id`, `document_id`, `sequence`, `current` and
    `total` come from native servers only: KBV2's progress never says which request it belongs to.
    """

    stage: float | None
    status: str
    message: str
    label: str | None = None
    total_stages: int | None = None
    duration: float | None = None
    timestamp: float | None = None
    error: str | None = None
    final: bool = False
    """True for the outer layer's last report (KBV2: the one with a duration)."""
    request_id: str | None = None
    document_id: str | None = None
    sequence: int | None = None
    current: int | None = None
    total: int | None = None


class ExtractionLog(msgspec.Struct, frozen=True):
    """A detail of an extraction that some KBV2 versions broadcast to every connection."""

    document_id: str | None
    document_name: str | None
    event_type: str
    data: dict[str, Any]


class Unrecognised(msgspec.Struct, frozen=True):
    """A frame that is none of the above: `reason` says why, `sample` holds at most 200 bytes."""

    reason: str
    sample: bytes


Message = Response | Progress | ExtractionLog | Unrecognised
"""Everything that a server can send, after parsing."""
