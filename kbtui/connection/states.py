"""The states of the connection and which may follow which."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ConnectionState(StrEnum):
    """Where the connection service is in its life."""

    DISCONNECTED = "disconnected"
    """Made, not started."""
    CONNECTING = "connecting"
    """Trying, or waiting to try, and never connected so far."""
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    """Trying, or waiting to try, after a connection was lost."""
    DRAINING = "draining"
    """Takes no new requests; those that were sent may still be answered."""
    CLOSING = "closing"
    CLOSED = "closed"
    """For good."""
    FAILED = "failed"
    """Retrying would not help; only `start`, `connect` or `reconnect_now` leaves it."""


class Mode(StrEnum):
    """How the server at the other end is spoken to."""

    KBV2 = "kbv2"
    """One request at a time, progress without ids."""
    NATIVE = "kbtui.v1"
    """Concurrent requests, numbered progress; chosen by the server selecting the subprotocol."""


_S = ConnectionState

TRANSITIONS: Final[dict[ConnectionState, frozenset[ConnectionState]]] = {
    _S.DISCONNECTED: frozenset({_S.CONNECTING, _S.DRAINING, _S.CLOSING}),
    _S.CONNECTING: frozenset(
        {_S.CONNECTING, _S.CONNECTED, _S.FAILED, _S.DRAINING, _S.CLOSING},
    ),
    _S.CONNECTED: frozenset({_S.RECONNECTING, _S.FAILED, _S.DRAINING, _S.CLOSING}),
    _S.RECONNECTING: frozenset(
        {_S.RECONNECTING, _S.CONNECTED, _S.FAILED, _S.DRAINING, _S.CLOSING},
    ),
    _S.DRAINING: frozenset({_S.CLOSING}),
    _S.CLOSING: frozenset({_S.CLOSED}),
    _S.CLOSED: frozenset(),
    _S.FAILED: frozenset({_S.CONNECTING, _S.DRAINING, _S.CLOSING}),
}
"""Every legal step. CONNECTING and RECONNECTING repeat themselves at each attempt and each wait."""
