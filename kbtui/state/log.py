"""The log that front ends show: a bounded buffer whose lines keep their numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

DEFAULT_CAPACITY: Final = 20_000


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. `sequence` never changes and is never used again; `at` is epoch seconds; `level`
    is "debug", "info", "warning" or "error"; `source` is the document's name or None."""

    sequence: int
    at: float
    level: str
    source: str | None
    text: str


class LogBuffer:
    """The newest lines, addressed by sequence number; counts what it had to drop."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self._lines: deque[LogLine] = deque(maxlen=capacity)
        self._next = 0

    def append(self, at: float, level: str, source: str | None, text: str) -> LogLine:
        """Add a line at the end; the oldest one falls out of a full buffer."""
        line = LogLine(self._next, at, level, source, text)
        self._next += 1
        self._lines.append(line)
        return line

    @property
    def first(self) -> int:
        """The sequence number of the oldest line still held (equals `end` when empty)."""
        return self._next - len(self._lines)

    @property
    def end(self) -> int:
        """One past the newest line's sequence number."""
        return self._next

    @property
    def dropped(self) -> int:
        """How many lines have fallen out since the start."""
        return self.first

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[LogLine]:
        return iter(self._lines)

    def line(self, sequence: int) -> LogLine | None:
        """The line of that number, or None where it was dropped or is still to come."""
        index = sequence - self.first
        return self._lines[index] if 0 <= index < len(self._lines) else None
