"""Which columns of the documents table fit a width, and how wide each is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STATE: Final = 13  # "◑ reconciling"
PERCENT: Final = 4
ELAPSED: Final = 7
SIZE: Final = 8

_GROWTH: Final = (
    # (column, up to this many cells); in the order in which spare cells are given out
    ("name", 16),
    ("stage", 16),
    ("bar", 6),
    ("name", 22),
    ("stage", 22),
    ("bar", 10),
    ("name", 28),
    ("size", SIZE),
    ("stage", 32),
    ("name", 36),
    ("bar", 20),
    ("message", 30),
    ("name", 48),
    ("message", 80),
    ("name", 10_000),
)
_MINIMUM: Final = {"stage": 12, "bar": 6, "size": SIZE, "message": 16}


@dataclass(frozen=True, slots=True)
class Columns:
    """Widths in cells; 0 means that the column is left out. `gap` cells stand between two."""

    name: int
    state: int
    stage: int
    bar: int
    percent: int
    elapsed: int
    size: int
    message: int
    gap: int

    @property
    def detail(self) -> int:
        """The cells from the stage to the percentage: where an ended document's reason stands."""
        widths = [width for width in (self.stage, self.bar, self.percent) if width]
        return sum(widths) + self.gap * (len(widths) - 1)


def layout(width: int) -> Columns:
    """Share `width` cells among the columns."""
    gap = 1 if width < 90 else 2
    state = STATE if width >= 34 else 1
    percent = PERCENT if width >= 30 else 0
    elapsed = ELAPSED if width >= 40 else 0
    fixed = [size for size in (state, percent, elapsed) if size]
    spare = width - sum(fixed) - gap * len(fixed)
    grown = {"name": max(4, min(14, spare)), "stage": 0, "bar": 0, "size": 0, "message": 0}
    spare -= grown["name"]
    for column, limit in _GROWTH:
        current = grown[column]
        if current:
            step = min(spare, limit - current)
        else:
            step = min(spare - gap, limit)
            if step < _MINIMUM.get(column, 1):
                continue
            spare -= gap
        if step > 0:
            grown[column] = current + step
            spare -= step
    return Columns(
        name=grown["name"],
        state=state,
        stage=grown["stage"],
        bar=grown["bar"],
        percent=percent,
        elapsed=elapsed,
        size=grown["size"],
        message=grown["message"],
        gap=gap,
    )
