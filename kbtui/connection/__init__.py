"""The async connection service: one supervised WebSocket, its states, requests and errors."""

from kbtui.connection.backoff import Backoff
from kbtui.connection.endpoint import Endpoint, EndpointSource, Timeouts
from kbtui.connection.errors import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    FatalConnectError,
    InvalidRequest,
    KbtuiConnectionError,
    NotConnected,
    RequestTimeout,
    RequestTooLarge,
    SendFailed,
    ServiceClosed,
)
from kbtui.connection.events import (
    ConnectionEvent,
    FrameDropped,
    LateAnswer,
    LatencyMeasured,
    MessageReceived,
    ServerQuiet,
    StateChanged,
)
from kbtui.connection.service import ConnectionService
from kbtui.connection.states import ConnectionState, Mode

__all__ = [
    "Backoff",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionEvent",
    "ConnectionLost",
    "ConnectionService",
    "ConnectionState",
    "Endpoint",
    "EndpointSource",
    "FatalConnectError",
    "FrameDropped",
    "InvalidRequest",
    "KbtuiConnectionError",
    "LateAnswer",
    "LatencyMeasured",
    "MessageReceived",
    "Mode",
    "NotConnected",
    "RequestTimeout",
    "RequestTooLarge",
    "SendFailed",
    "ServerQuiet",
    "ServiceClosed",
    "StateChanged",
    "Timeouts",
]
