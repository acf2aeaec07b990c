"""All vectors in memory, for an exact search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from kbtui.server.embedding.identity import DIMENSIONS

if TYPE_CHECKING:
    import sqlite3

    from numpy.typing import NDArray

_BATCH: Final = 2000


class VectorMatrix:
    """The vectors of all windows, one a row, in the order of the windows' numbers.

    For one thread. Windows are only ever added, with rising numbers, so catching up is reading
    those above the last one. 100,000 windows take 154 MB.
    """

    def __init__(self) -> None:
        self._matrix = np.empty((0, DIMENSIONS), np.float32)
        self._numbers = np.empty(0, np.int64)
        self._size = 0

    def catch_up(self, connection: sqlite3.Connection) -> None:
        """Reads the windows stored since the last call."""
        last = int(self._numbers[self._size - 1]) if self._size else 0
        (new,) = connection.execute("SELECT count(*) FROM windows WHERE n > ?", (last,)).fetchone()
        if not new:
            return
        self._reserve(self._size + new)
        cursor = connection.execute("SELECT n, vector FROM windows WHERE n > ? ORDER BY n", (last,))
        while rows := cursor.fetchmany(_BATCH):
            self._reserve(self._size + len(rows))
            end = self._size + len(rows)
            self._numbers[self._size : end] = [row[0] for row in rows]
            block = np.frombuffer(b"".join(row[1] for row in rows), np.float32)
            self._matrix[self._size : end] = block.reshape(-1, DIMENSIONS)
            self._size = end

    def _reserve(self, rows: int) -> None:
        if rows <= len(self._numbers):
            return
        capacity = max(rows, len(self._numbers) * 5 // 4)
        matrix = np.empty((capacity, DIMENSIONS), np.float32)
        matrix[: self._size] = self._matrix[: self._size]
        numbers = np.empty(capacity, np.int64)
        numbers[: self._size] = self._numbers[: self._size]
        self._matrix, self._numbers = matrix, numbers

    def nearest(
        self, query: NDArray[np.float32], limit: int, allowed: NDArray[np.int64] | None = None
    ) -> list[tuple[int, float]]:
        """(window number, cosine) of the nearest windows, best first; among `allowed` window
        numbers only, when given."""
        similarity = self._matrix[: self._size] @ query
        if allowed is not None:
            similarity[~np.isin(self._numbers[: self._size], allowed)] = -np.inf
        limit = min(limit, self._size)
        if not limit:
            return []
        best = np.argpartition(-similarity, limit - 1)[:limit]
        best = best[np.lexsort((best, -similarity[best]))]
        return [
            (int(self._numbers[row]), float(similarity[row]))
            for row in best
            if np.isfinite(similarity[row])
        ]

    def similarity(self, query: NDArray[np.float32], number: int) -> float | None:
        """The cosine of one window to the query; None for an unknown window."""
        row = int(np.searchsorted(self._numbers[: self._size], number))
        if row >= self._size or self._numbers[row] != number:
            return None
        return float(self._matrix[row] @ query)
