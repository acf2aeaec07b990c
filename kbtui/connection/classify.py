"""The one decision about a failed or lost connection: try again, and when, or give up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random


class FailureKind(StrEnum):
    """What went wrong, as far as the decision needs to know."""

    NETWORK = "network"
    DNS = "dns"
    TIMEOUT = "timeout"
    CERTIFICATE = "certificate"
    SCHEME = "scheme"
    """TLS spoken to a plain port, or the reverse."""
    HUNG_UP = "hung up"
    """The server closed the connection before it said anything: the scheme is wrong, or a port
    forwarder stands in front of a server that is not there yet."""
    HTTP = "http"
    NOT_WEBSOCKET = "not a websocket"
    REDIRECT = "redirect"
    BAD_URL = "bad url"
    SOURCE = "source"
    SOURCE_FATAL = "source, fatal"
    CLOSED = "closed"
    NO_PONG = "no pong"
    SEND_STUCK = "send stuck"
    GARBAGE = "garbage"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed or a connection ended.

    `detail` is a clause for a person. `code` is the HTTP status or the WebSocket close code.
    `retry_after` is what the server asked for, in seconds.
    """

    kind: FailureKind
    detail: str
    code: int | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What came before, in constant space. Times are seconds of a monotonic clock.

    A run is a row of failures of one kind and code with no connection in between.
    """

    ever_connected: bool = False
    run_of: tuple[FailureKind, int | None] | None = None
    run_length: int = 0
    run_seconds: float = 0.0
    run_started: float = 0.0
    protocol_errors: tuple[float, ...] = ()

    def after(self, failure: Failure, now: float) -> History:
        """The history with `failure` as its last entry."""
        key = (failure.kind, failure.code)
        same = key == self.run_of
        errors = tuple(at for at in self.protocol_errors if now - at <= PROTOCOL_ERROR_WINDOW)
        if failure.kind is FailureKind.CLOSED and failure.code in PROTOCOL_ERROR_CODES:
            errors = (*errors, now)[-PROTOCOL_ERRORS_ALLOWED:]
        started = self.run_started if same else now
        return replace(
            self,
            run_of=key,
            run_length=self.run_length + 1 if same else 1,
            run_seconds=now - started,
            run_started=started,
            protocol_errors=errors,
        )

    def connected(self) -> History:
        """The history once a connection stands."""
        return History(ever_connected=True, protocol_errors=self.protocol_errors)


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after the backoff's delay, and no sooner than `floor` + U(0, 1) x `spread` s."""

    floor: float = 0.0
    spread: float = 0.0

    def delay(self, backoff: float, random: Random) -> float:
        """The wait in seconds, given what the backoff asks for."""
        return max(backoff, self.floor + random.random() * self.spread)


@dataclass(frozen=True, slots=True)
class Fatal:
    """Give up; `sentence` tells a person what to do."""

    sentence: str


PROTOCOL_ERROR_CODES: Final = frozenset({1002, 1003, 1007})
PROTOCOL_ERROR_WINDOW: Final = 300.0
PROTOCOL_ERRORS_ALLOWED: Final = 3
REFUSAL_CODES: Final = frozenset({1008, 4401, 4403})
REFUSAL_STATUSES: Final = frozenset({401, 403, 407})
PASSING_STATUSES: Final = frozenset({408, 425, 429})
WRONG_SERVICE_PATIENCE: Final = 300.0
"""Seconds that a server which was right before may answer like a wrong one: a proxy in front of a
restarting server does."""
IDENTICAL_FAILURES: Final = 3
HUNG_UP_PATIENCE: Final = 10.0
"""Seconds that a server may take to come up behind a port forwarder."""
RETRY_AFTER_RANGE: Final = (1.0, 300.0)
HERD_SPREAD: Final = 5.0
"""Seconds over which clients come back that a server has turned away together: 1,000 of them are
then not much over 200 a second."""


def classify(failure: Failure, history: History) -> Retry | Fatal:
    """Decide on `failure`, which is the last entry of `history`."""
    kind = failure.kind
    if kind is FailureKind.CLOSED:
        return _after_close(failure, history)
    if kind is FailureKind.HTTP:
        return _after_status(failure, history)
    if kind in (FailureKind.NOT_WEBSOCKET, FailureKind.REDIRECT):
        return _wrong_service(failure, history)
    if kind in _FATAL_AT_ONCE:
        return Fatal(_FATAL_AT_ONCE[kind].format(detail=failure.detail))
    if kind in _TRUSTED_ONCE_CONNECTED and history.ever_connected:
        return Retry()
    if kind is FailureKind.HUNG_UP and history.run_seconds < HUNG_UP_PATIENCE:
        return Retry()
    if kind in _FATAL_IN_A_ROW and history.run_length >= IDENTICAL_FAILURES:
        return Fatal(_FATAL_IN_A_ROW[kind].format(detail=failure.detail))
    return Retry()


_FATAL_AT_ONCE: Final = {
    FailureKind.CERTIFICATE: (
        "The server's certificate cannot be trusted ({detail}): check the host name in the URL, "
        "or give the authority that signed it as the CA file or in SSL_CERT_FILE."
    ),
    FailureKind.BAD_URL: (
        "The server's URL cannot be used ({detail}): write it as ws://HOST:PORT/ws or wss://..."
    ),
    FailureKind.SOURCE_FATAL: "{detail}",
    FailureKind.GARBAGE: (
        "The server sends what is not the knowledge base's protocol ({detail}): check that the "
        "URL points at a knowledge-base server."
    ),
}

_TRUSTED_ONCE_CONNECTED: Final = frozenset({FailureKind.DNS, FailureKind.HUNG_UP})

_FATAL_IN_A_ROW: Final = {
    FailureKind.DNS: (
        "The server cannot be found ({detail}): check the spelling in the URL and this "
        "machine's network."
    ),
    FailureKind.SCHEME: (
        "The server does not speak what the URL's scheme says ({detail}): try ws:// in place of "
        "wss://, or the reverse."
    ),
    FailureKind.HUNG_UP: (
        "The server closes every connection before it answers: check the port, and whether the "
        "URL should begin with wss:// or with ws://."
    ),
    FailureKind.INTERNAL: (
        "Connecting fails for a reason that kbtui did not expect ({detail}): see the log."
    ),
}


def _after_close(failure: Failure, history: History) -> Retry | Fatal:
    code = failure.code
    if code in REFUSAL_CODES:
        return Fatal(
            f"The server refused the connection ({failure.detail}): check the token and its rights."
        )
    if code in PROTOCOL_ERROR_CODES and len(history.protocol_errors) >= PROTOCOL_ERRORS_ALLOWED:
        return Fatal(
            f"Server and client do not understand each other ({failure.detail}, "
            f"{PROTOCOL_ERRORS_ALLOWED} times in 5 minutes): check both versions and any proxy "
            "between them."
        )
    if code == 1012:
        return Retry(floor=0.5, spread=1.5)
    if code == 1013:
        return Retry(floor=5.0, spread=HERD_SPREAD)
    return Retry()


def _after_status(failure: Failure, history: History) -> Retry | Fatal:
    status = failure.code or 0
    if status == 407:
        return Fatal(
            "The proxy wants a user name and a password (HTTP 407): put them into the proxy "
            "variable, or name the server in no_proxy."
        )
    if status in REFUSAL_STATUSES:
        return Fatal(
            f"The server refused the connection (HTTP {status}): check the token, and the URL's "
            "path (KBV2 answers at /ws)."
        )
    if status in PASSING_STATUSES or 500 <= status <= 599:
        if failure.retry_after is None:
            return Retry()
        low, high = RETRY_AFTER_RANGE
        wait = min(high, max(low, failure.retry_after))
        return Retry(floor=wait, spread=min(wait, HERD_SPREAD))
    return _wrong_service(failure, history)


def _wrong_service(failure: Failure, history: History) -> Retry | Fatal:
    if history.ever_connected and history.run_seconds < WRONG_SERVICE_PATIENCE:
        return Retry()
    return Fatal(
        f"There is no knowledge-base server at this URL ({failure.detail}): check host, port and "
        "path (KBV2 answers at /ws)."
    )
