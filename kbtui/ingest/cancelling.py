"""Telling a server to cancel a document that it has been sent."""

from __future__ import annotations

from typing import Final

from kbtui.connection import ConnectionService, KbtuiConnectionError, Mode
from kbtui.ingest.decide import refusal_to_cancel
from kbtui.ingest.jobs import Job
from kbtui.protocol.methods import CANCEL, CancelParams, as_params

CANCEL_SECONDS: Final = 60.0
"""The longest wait for a server to cancel a document."""


async def cancel_on_server(service: ConnectionService, job: Job, attempt: int) -> str | None:
    """Have the server cancel this attempt at a job, with nothing left behind, also where its
    request has not arrived yet; returns why it is not cancelled, or None."""
    if service.mode is Mode.KBV2:
        return (
            "this server cannot cancel what it has been sent; "
            "only a document that is still queued can be cancelled"
        )
    params = CancelParams(idempotency_key=job.key, attempt=attempt)
    try:
        response = await service.request(CANCEL, as_params(params), timeout=CANCEL_SECONDS)
    except KbtuiConnectionError as error:
        return f"the server could not be told to cancel it: {error}"
    return refusal_to_cancel(response)
