"""What the connection service reports to its listeners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from kbtui.protocol.messages import ExtractionLog, Progress

if TYPE_CHECKING:
    from kbtui.connection.states import ConnectionState, Mode
    from kbtui.protocol.messages import Response


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The state, or what is known about the running attempt, changed.

    `attempt` is the number of the try that is under way or has just failed, counted from 1; 0 for
    a connection that stood. `retry_in` is the wait in seconds until the next try, None where no
    wait has begun. `reason` is a sentence or clause for a person: why the connection was lost or
    could not be made. `url` holds no credentials.
    """

    state: ConnectionState
    previous: ConnectionState
    epoch: int
    mode: Mode | None
    url: str | None
    reason: str | None
    attempt: int
    retry_in: float | None


@dataclass(frozen=True, slots=True)
class LatencyMeasured:
    """A ping was answered after `seconds`."""

    epoch: int
    seconds: float


class MessageReceived(msgspec.Struct, frozen=True):
    """The server sent something that is no answer.

    A struct, since there is one a frame and a struct is made three times as fast.
    """

    epoch: int
    message: Progress | ExtractionLog


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """The answer to a request whose caller had stopped waiting (timed out or cancelled)."""

    epoch: int
    response: Response


@dataclass(frozen=True, slots=True)
class FrameDropped:
    """A frame could not be used. `sample` is its first 200 bytes, `count` all dropped so far."""

    epoch: int
    reason: str
    sample: bytes
    count: int


@dataclass(frozen=True, slots=True)
class ServerQuiet:
    """A request is out and nothing but pongs has come for `seconds`; once a silence.

    Another client may have taken the progress. The answer still comes on this connection, which is
    therefore kept.
    """

    epoch: int
    seconds: float


ConnectionEvent = (
    StateChanged | LatencyMeasured | MessageReceived | LateAnswer | FrameDropped | ServerQuiet
)
"""Everything a listener can be called with."""
