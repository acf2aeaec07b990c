"""How the queue treats its jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from kbtui.ingest.mapping import PathMap

DEFAULT_CONCURRENCY: Final = 3
"""Documents sent to a native server at once: what the embedded server works on at once."""

MOST_AT_ONCE: Final = 48
"""Of the 64 requests that a server reads from a connection, some are left for other calls."""


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """The queue's settings. Times in seconds.

    `timeout`: the longest wait for one document's answer, and for a lost connection's return.
    `skip_duplicates`: leave out content that the server has already. `resubmit_unknown`: send
    again, once, what had an unknown outcome, which may ingest it twice. `quiet`: how long a KBV2
    server must say nothing, after a lost connection, until the document that it may still be
    working on is taken to be over (`faults.md`: 120 s without progress). `path_map`: where the
    server sees our files. `upload`: which files are offered to a native server as a whole, "auto"
    (those that it does not see with the same content), "always" or None.
    """

    concurrency: int = DEFAULT_CONCURRENCY
    timeout: float = 3600.0
    skip_duplicates: bool = True
    resubmit_unknown: bool = False
    quiet: float = 120.0
    upload: Literal["auto", "always"] | None = "auto"
    path_map: PathMap = field(default_factory=PathMap)
