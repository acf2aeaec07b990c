"""What the connection service raises; every text is a sentence fit to be shown to a person."""

from __future__ import annotations

from kbtui.protocol.methods import INGEST


class KbtuiConnectionError(Exception):
    """The root of everything the connection service raises."""


class ConnectError(KbtuiConnectionError):
    """An endpoint source could not say where to connect; the service tries again."""


class FatalConnectError(KbtuiConnectionError):
    """Connecting failed for a reason that trying again does not cure."""


class ConnectTimeout(KbtuiConnectionError):
    """`connect` waited long enough; the service itself keeps trying."""

    def __init__(self, seconds: float, reason: str | None) -> None:
        why = f" ({reason})" if reason else ""
        super().__init__(f"Could not connect within {seconds:g} s{why}.")
        self.reason = reason


class ServiceClosed(KbtuiConnectionError):
    """The service is closed, closing or draining. The request was not sent."""

    def __init__(self) -> None:
        super().__init__("The connection is being closed; nothing more is sent.")


class NotConnected(KbtuiConnectionError):
    """There is no connection, or it was lost before the request's turn came.

    The request was not sent: sending it again is safe.
    """

    def __init__(self) -> None:
        super().__init__("Not connected to the server; the request was not sent.")


class ConnectionLost(KbtuiConnectionError):
    """The connection ended between the request and its answer: the outcome is not known.

    `epoch` is the connection's number, `code` its WebSocket close code (1006: none was sent).
    """

    def __init__(self, epoch: int, code: int, reason: str = "") -> None:
        super().__init__(
            f"The connection was lost before the answer came ({reason or f'close code {code}'}); "
            "the server may still finish what it was asked."
        )
        self.epoch = epoch
        self.code = code


class RequestTimeout(KbtuiConnectionError):
    """No answer in time. `sent` is False where the request never got its turn on the wire."""

    def __init__(self, method: str, seconds: float, *, sent: bool) -> None:
        if not sent:
            text = (
                f"The server was busy with an earlier request for {seconds:g} s; "
                "this one was not sent."
            )
        elif method == INGEST:
            text = (
                f"The ingestion is taking longer than expected: no answer after {seconds:g} s. "
                "It may still finish on the server."
            )
        else:
            text = f"The server did not answer {method} within {seconds:g} s."
        super().__init__(text)
        self.method = method
        self.sent = sent


class SendFailed(KbtuiConnectionError):
    """The request could not be written to the socket in time; it did not arrive whole.

    The connection is given up with it.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The request could not be sent within {seconds:g} s: the network takes no more data."
        )


class InvalidRequest(KbtuiConnectionError):
    """The request cannot be put on the wire, now or later."""


class RequestTooLarge(InvalidRequest):
    """The request is larger than any server takes (see MAX_FRAME_BYTES)."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"The request is too large: {size:,} bytes, and servers take {limit:,} at most."
        )
