"""How long to wait before the next attempt: exponential with jitter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

_ENOUGH: Final = 64  # attempts after which the cap has long been reached; keeps the power finite


@dataclass(frozen=True, slots=True)
class Backoff:
    """U(0.5, 1) x min(cap, base x factor^attempt), in seconds.

    Half of each wait is random, so that clients which lost one server together come back apart.
    """

    base: float = 0.25
    factor: float = 1.6
    cap: float = 15.0

    def delay(self, attempt: int, random: Random) -> float:
        """Seconds to wait after failed attempt number `attempt`, counted from 0."""
        longest = min(self.cap, self.base * self.factor ** min(attempt, _ENOUGH))
        return random.uniform(0.5, 1.0) * longest
