"""Which reports of a document have been seen, so that a replay after a drop shows nothing twice."""

from __future__ import annotations

from dataclasses import dataclass

from kbtui.protocol.messages import Progress


@dataclass(slots=True)
class _Last:
    document_id: str
    sequence: int
    runs: int


class SeenReports:
    """For each job the newest report that was taken, by its number within a document's run.

    Only native servers number their reports; those without a number always count as new.
    """

    def __init__(self) -> None:
        self._last: dict[str, _Last] = {}

    def is_new(self, job_id: str, progress: Progress) -> bool:
        """Whether a report of a job has not been seen; from now on it has."""
        if progress.sequence is None or progress.document_id is None:
            return True
        last = self._last.get(job_id)
        if last is None or last.document_id != progress.document_id:
            # The server has begun anew and numbers from the start.
            runs = 0 if last is None else last.runs
            self._last[job_id] = _Last(progress.document_id, progress.sequence, runs + 1)
            return True
        if progress.sequence <= last.sequence:
            return False
        last.sequence = progress.sequence
        return True

    def position(self, job_id: str) -> tuple[str | None, int | None]:
        """The document and the number after which reports are wanted; None, None: all."""
        last = self._last.get(job_id)
        return (None, None) if last is None else (last.document_id, last.sequence)

    def runs(self, job_id: str) -> int:
        """How often the server has begun the job's document, as far as its reports tell."""
        last = self._last.get(job_id)
        return 0 if last is None else last.runs

    def forget(self, job_id: str) -> None:
        """The job has ended."""
        self._last.pop(job_id, None)
