"""What is answered before a WebSocket begins: health, wrong paths, tokens, foreign origins."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from http import HTTPStatus

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from kbtui.protocol.methods import Health

WEBSOCKET_PATH = "/ws"
HEALTH_PATH = "/health"

Gate = Callable[[ServerConnection, Request], Response | None]


def gate(health: Callable[[], Health], token: str | None) -> Gate:
    """Decide, for each HTTP request, between an answer and (None) the WebSocket handshake.

    `/health` needs no token: it tells that a server is there and nothing else. A WebSocket request
    with any Origin is refused: browsers always send one, kbtui and KBV2 clients never do, so a
    web page that the user has open cannot reach the server behind the user's back.
    """

    def process(connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == HEALTH_PATH:
            return _json(HTTPStatus.OK, msgspec.json.encode(health()))
        upgrading = request.headers.get("Upgrade", "").lower() == "websocket"
        if path != WEBSOCKET_PATH or not upgrading:
            # KBV2 answers an upgrade on a wrong path with 403, a plain request with 404.
            status = HTTPStatus.FORBIDDEN if upgrading else HTTPStatus.NOT_FOUND
            return connection.respond(status, f"there is nothing at {path!r}; try /ws or /health\n")
        if request.headers.get_all("Origin"):
            return connection.respond(HTTPStatus.FORBIDDEN, "web pages may not connect\n")
        if token is not None and not _authorized(request.headers, token):
            response = connection.respond(HTTPStatus.UNAUTHORIZED, "a bearer token is needed\n")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        return None

    return process


def _authorized(headers: Headers, token: str) -> bool:
    given = headers.get_all("Authorization")
    return len(given) == 1 and hmac.compare_digest(
        given[0].encode("utf-8", "replace"), f"Bearer {token}".encode()
    )


def _json(status: HTTPStatus, body: bytes) -> Response:
    headers = Headers()
    headers["Content-Type"] = "application/json"
    headers["Content-Length"] = str(len(body))
    headers["Connection"] = "close"
    return Response(status.value, status.phrase, headers, body)
