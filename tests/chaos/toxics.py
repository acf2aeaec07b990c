"""What a connection through the chaos proxy can suffer: toxiproxy's set, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """Everything arrives `seconds` later, give or take U(0, `jitter`); the order is kept."""

    seconds: float
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """At most `rate` bytes a second. With 0 nothing passes, and the sender's buffers fill up."""

    rate: float


@dataclass(frozen=True, slots=True)
class Slicer:
    """Data is cut into pieces of `size` bytes, give or take `variation`, `delay` s apart."""

    size: int
    variation: int = 0
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class LimitData:
    """The connection is closed once so many bytes have passed this way."""

    size: int


@dataclass(frozen=True, slots=True)
class SlowClose:
    """The end of the stream is passed on `seconds` later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Timeout:
    """Data vanishes, and so does the end of the stream: half-open. After `seconds` the connection
    is closed; None: never. Lost bytes stay lost: such a connection does not come to life again."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """Both ends get a TCP RST after `seconds`."""

    seconds: float = 0.0


Toxic = Latency | Bandwidth | Slicer | LimitData | SlowClose | Timeout | Reset
