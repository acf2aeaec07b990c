"""When a file has settled: nothing about it has changed for long enough. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

DEFAULT_SETTLE: Final = 5.0
"""Seconds that a file must stay as it is."""


class Signature(NamedTuple):
    """What tells one state of a file from another. `size` in bytes, `mtime_ns` as stat gives it.

    Times are only compared for equality: one in the future or in 1970 settles like any other.
    """

    size: int
    mtime_ns: int
    inode: int


class Verdict(Enum):
    """What a look at a file says."""

    SETTLING = auto()
    EMPTY = auto()
    """No bytes: it waits, however long, and settles once it has grown."""
    SETTLED = auto()


@dataclass(frozen=True, slots=True)
class Settling:
    """A state of a file, and when it was first seen (monotonic seconds)."""

    signature: Signature
    since: float

    def due(self, settle: float) -> float:
        """When, at the earliest, a look can find it settled."""
        return self.since + settle


def judge(
    before: Settling | None, signature: Signature, *, began: float, ended: float, settle: float
) -> tuple[Settling, Verdict]:
    """Take one stat into account: two equal ones, at least `settle` seconds apart, settle a file.

    The stat happened between `began` and `ended` (monotonic seconds). The time counts from the
    end of the first look to the beginning of the last, so that a slow scan never shortens it.
    """
    if before is None or before.signature != signature:
        before = Settling(signature, ended)
    if signature.size == 0:
        return before, Verdict.EMPTY
    if before.due(settle) <= began:
        return before, Verdict.SETTLED
    return before, Verdict.SETTLING
