"""The queue's decisions, as pure functions: what an answer means, whose progress it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kbtui.ingest.events import Attribution
from kbtui.ingest.jobs import Job, JobState
from kbtui.protocol.messages import Progress, Response
from kbtui.protocol.methods import (
    CANCELLED,
    INGEST,
    UPLOAD_WANTED,
    CancelResult,
    IngestResult,
    InvalidShape,
    shaped,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ends: its last state and what is known with it."""

    state: JobState
    document_id: str | None = None
    error: str | None = None
    reason: str | None = None
    timed_out: bool = False


def outcome_of(response: Response) -> Outcome:
    """What the answer to an ingestion means.

    Success is a result that names a document. KBV2 answers unknown methods with a success-shaped
    message, and both `result` and `error` may be null: neither is a success.
    """
    if response.error is not None:
        return Outcome(JobState.FAILED, error=_reason_in(response.error))
    try:
        result = shaped(IngestResult, response.result)
    except InvalidShape:
        said = response.result.get("message") if isinstance(response.result, dict) else None
        detail = f" (it said: {said})" if isinstance(said, str) else ""
        return Outcome(
            JobState.FAILED, error=f"the server's answer names no stored document{detail}"
        )
    if result.status == "duplicate":
        return Outcome(
            JobState.SKIPPED,
            document_id=result.document_id,
            reason=f"duplicate of {result.document_name or result.document_id}",
        )
    if result.status == CANCELLED:
        return Outcome(JobState.CANCELLED, reason="cancelled")
    if result.status != "completed":
        return Outcome(JobState.FAILED, error=f"the server reported {result.status!r}")
    return Outcome(JobState.COMPLETED, document_id=result.document_id)


def wants_upload(response: Response) -> bool:
    """Whether the answer to an ingestion asks for the file's content first."""
    result = response.result
    return (
        response.error is None
        and isinstance(result, dict)
        and result.get("status") == UPLOAD_WANTED
    )


def duplicate_of(
    job: Job, same_content: Iterable[Job], *, resubmit_unknown: bool
) -> Outcome | None:
    """Whether a job's content has been sent to its server before, as far as the journal knows.

    Used with servers that keep no such record themselves. None where it may be sent. What was
    sent with an unknown outcome is sent again only with consent (`resubmit_unknown`).
    """
    for other in same_content:
        if other.job_id == job.job_id:
            continue
        if other.state is JobState.COMPLETED:
            return Outcome(
                JobState.SKIPPED,
                document_id=other.document_id,
                reason=f"duplicate of {other.name}",
            )
        if other.state is JobState.UNKNOWN and not resubmit_unknown:
            return Outcome(
                JobState.UNKNOWN,
                reason=f"the same content was sent as {other.name}, with an unknown outcome; "
                "--on-unknown resubmit sends it again",
            )
    return None


def refusal_to_cancel(response: Response) -> str | None:
    """Why a running document was not cancelled, from the server's answer; None where it was."""
    if response.error is not None:
        return f"the server did not cancel it: {response.error}"
    try:
        status = shaped(CancelResult, response.result).status
    except InvalidShape:
        return "the server did not say whether it cancelled it"
    return None if status == CANCELLED else f"too late: on the server it is {status}"


def attribute(progress: Progress, outstanding: Mapping[str, str]) -> tuple[str, Attribution] | None:
    """Whose progress this is, given the ids of the requests that are out and their jobs.

    With a request id it is certain; without one (KBV2) the only job that is out is taken to be
    meant; otherwise nobody knows, and no bar may move.
    """
    if progress.request_id is not None:
        job_id = outstanding.get(progress.request_id)
        return None if job_id is None else (job_id, Attribution.EXACT)
    if len(outstanding) == 1:
        return next(iter(outstanding.values())), Attribution.INFERRED
    return None


def _reason_in(error: str) -> str:
    """The server's sentence without the envelope around it; an empty error is still an error."""
    text = error.removeprefix(f"Error processing {INGEST}: ").strip()
    return text or "the server reported an error and gave no reason"
