"""From the exceptions of sockets, TLS and websockets to the failures that we decide on."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from websockets.exceptions import (
    InvalidHandshake,
    InvalidMessage,
    InvalidProxy,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
    ProxyError,
    SecurityError,
)

from kbtui.connection.classify import Failure, FailureKind
from kbtui.connection.errors import ConnectError, FatalConnectError

_ERRNO = re.compile(r"\[Errno (\d+)\]")
_HUNG_UP = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, ssl.SSLEOFError)


def failure_of(error: Exception) -> Failure:
    """What `error`, raised while connecting, means. Pure; knows every kind that is raised."""
    if isinstance(error, FatalConnectError):
        return Failure(FailureKind.SOURCE_FATAL, str(error))
    if isinstance(error, ConnectError):
        return Failure(FailureKind.SOURCE, str(error))
    if isinstance(error, InvalidHandshake):
        return _failure_of_handshake(error)
    if isinstance(error, OSError):
        return _failure_of_os_error(error)
    if isinstance(error, InvalidURI | InvalidProxy | ValueError):
        # The error's own text holds the URL, and with it perhaps a password.
        what = "the proxy's URL" if isinstance(error, InvalidProxy) else "not a WebSocket URL"
        return Failure(FailureKind.BAD_URL, what)
    return Failure(FailureKind.INTERNAL, f"{type(error).__name__}: {_clause(error)}")


def _failure_of_handshake(error: InvalidHandshake) -> Failure:
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        wait = _seconds(error.response.headers.get("Retry-After"))
        return Failure(FailureKind.HTTP, f"HTTP {status}", status, wait)
    if isinstance(error, InvalidProxyStatus):
        status = error.response.status_code
        if status == 407:
            return Failure(FailureKind.HTTP, "HTTP 407", status)
        return Failure(FailureKind.NETWORK, f"the proxy answered HTTP {status}")
    if isinstance(error, ProxyError):
        return Failure(FailureKind.NETWORK, f"the proxy failed: {error}")
    if isinstance(error, SecurityError):
        return Failure(FailureKind.REDIRECT, str(error))
    if isinstance(error, InvalidMessage):
        if isinstance(error.__cause__, EOFError | OSError):
            return Failure(
                FailureKind.HUNG_UP, "the server closed the connection before it answered"
            )
        return Failure(FailureKind.SCHEME, "no HTTP answer came")
    return Failure(FailureKind.NOT_WEBSOCKET, _clause(error))


def _failure_of_os_error(error: OSError) -> Failure:
    if isinstance(error, socket.gaierror):
        return Failure(FailureKind.DNS, f"host name not found: {error.strerror or _clause(error)}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure(FailureKind.CERTIFICATE, getattr(error, "verify_message", _clause(error)))
    if isinstance(error, _HUNG_UP):
        return Failure(FailureKind.HUNG_UP, "the server closed the connection before it answered")
    if isinstance(error, ssl.SSLError):
        return Failure(FailureKind.SCHEME, getattr(error, "reason", None) or _clause(error))
    number = error.errno
    if number is None:
        # asyncio joins the errors of several addresses into one text.
        found = _ERRNO.search(str(error))
        number = int(found[1]) if found else None
    if isinstance(error, TimeoutError) and number is None:
        return Failure(FailureKind.TIMEOUT, "no answer in time")
    if number is None:
        return Failure(FailureKind.NETWORK, _clause(error))
    name = errno.errorcode.get(number, str(number))
    return Failure(FailureKind.NETWORK, f"{os.strerror(number).lower()} ({name})")


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` as seconds from now; None where it is absent or unreadable."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()


def _clause(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
