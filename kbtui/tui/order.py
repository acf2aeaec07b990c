"""The order of the documents: what runs first, then what waits, then what has ended."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from typing import Final

from kbtui.ingest.jobs import JobState
from kbtui.state.views import DocumentView

SortKey = tuple[int, float, int, str]

_WAITING: Final = frozenset({JobState.QUEUED, JobState.HELD})
_DONE: Final = frozenset(
    {JobState.COMPLETED, JobState.FAILED, JobState.SKIPPED, JobState.CANCELLED}
)

REBUILD_FROM: Final = 200
"""From this many moved documents on, sorting once is cheaper than moving each."""


def group(state: JobState) -> int:
    """0 runs or needs a person, 1 waits, 2 has ended."""
    if state in _WAITING:
        return 1
    return 2 if state in _DONE else 0


def sort_key(view: DocumentView, number: int) -> SortKey:
    """Where a document stands; `number` is its place in the order of arrival.

    Running ones by their start, waiting ones as they came, ended ones newest first.
    """
    place = group(view.state)
    if place == 0:
        return 0, view.started_at or view.added_at, number, view.job_id
    if place == 1:
        return 1, view.added_at, number, view.job_id
    return 2, -(view.finished_at or view.added_at), -number, view.job_id


def matches(view: DocumentView, words: str) -> bool:
    """Whether every word is in the document's name, path, state, domain or error."""
    text = " ".join(
        (view.name, view.path, view.state, view.domain or "", view.error or "", view.reason or "")
    ).casefold()
    return all(word in text for word in words.casefold().split())


class Ordering:
    """The documents in the order of display, kept up to date change by change."""

    def __init__(self) -> None:
        self._keys: list[SortKey] = []
        self._key_of: dict[str, SortKey] = {}
        self._numbers: dict[str, int] = {}
        self.words = ""

    def __len__(self) -> int:
        return len(self._keys)

    def at(self, row: int) -> str | None:
        """The job in that row."""
        return self._keys[row][3] if 0 <= row < len(self._keys) else None

    def row(self, job_id: str | None) -> int | None:
        """The row of that job; None where it is unknown or filtered out."""
        key = self._key_of.get(job_id) if job_id is not None else None
        return None if key is None else bisect_left(self._keys, key)

    def slice(self, start: int, stop: int) -> list[str]:
        """The jobs in the rows from `start` up to `stop`."""
        return [key[3] for key in self._keys[max(0, start) : stop]]

    def rebuild(self, documents: Mapping[str, DocumentView]) -> None:
        """Sort everything anew, as after a change of the filter."""
        for job_id in documents:
            self._numbers.setdefault(job_id, len(self._numbers))
        self._key_of = {
            job_id: sort_key(view, self._numbers[job_id])
            for job_id, view in documents.items()
            if not self.words or matches(view, self.words)
        }
        self._keys = sorted(self._key_of.values())

    def update(self, documents: Mapping[str, DocumentView], changed: Iterable[str]) -> bool:
        """Put the changed documents where they belong now; True if any row has moved."""
        moved: list[tuple[str, SortKey | None]] = []
        for job_id in changed:
            view = documents[job_id]
            number = self._numbers.setdefault(job_id, len(self._numbers))
            shown = not self.words or matches(view, self.words)
            key = sort_key(view, number) if shown else None
            if key != self._key_of.get(job_id):
                moved.append((job_id, key))
        if len(moved) >= REBUILD_FROM:
            self.rebuild(documents)
            return True
        for job_id, key in moved:
            previous = self._key_of.pop(job_id, None)
            if previous is not None:
                del self._keys[bisect_left(self._keys, previous)]
            if key is not None:
                self._key_of[job_id] = key
                insort(self._keys, key)
        return bool(moved)
