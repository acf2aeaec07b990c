"""Requests out, answers in: over whichever session is live, one at a time where it must be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from kbtui.connection.errors import (
    ConnectionLost,
    InvalidRequest,
    NotConnected,
    RequestTimeout,
    RequestTooLarge,
    SendFailed,
)
from kbtui.connection.pending import PendingRequests, Settlement
from kbtui.connection.states import Mode
from kbtui.connection.transport import LinkClosed
from kbtui.protocol.codec import encode_request
from kbtui.protocol.messages import MAX_FRAME_BYTES, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from kbtui.connection.endpoint import Timeouts
    from kbtui.connection.session import Session

    OnSent = Callable[[int], None] | None


class Exchange:
    """Sends requests and hands each its answer.

    `usable_session` returns the live session, or raises NotConnected or ServiceClosed.
    """

    def __init__(self, timeouts: Timeouts, usable_session: Callable[[], Session]) -> None:
        self._timeouts = timeouts
        self._usable_session = usable_session
        self._pending = PendingRequests(asyncio.get_running_loop().time)

    async def request(
        self,
        method: str,
        params: dict[str, Any],
        request_id: str | None,
        timeout: float | None,
        on_sent: OnSent,
    ) -> Response:
        """See ConnectionService.request."""
        session = self._usable_session()
        request_id = request_id or str(uuid4())
        seconds = self._timeouts.request if timeout is None else timeout
        frame = _encoded(Request(method, params, request_id))
        if session.mode is Mode.KBV2:
            try:
                async with asyncio.timeout(seconds):
                    await session.turn.take(request_id)
            except TimeoutError:
                raise RequestTimeout(method, seconds, sent=False) from None
        try:
            # Registered first: the answer may come before the send returns.
            answer = self._pending.register(request_id)
        except ValueError:
            session.turn.release(request_id)
            raise
        try:
            await self._send(session, frame, on_sent)
        except asyncio.CancelledError:
            self._pending.expire(request_id)
            raise
        except BaseException:
            self._pending.remove(request_id)
            session.turn.release(request_id)
            raise
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            if answer.done() and not answer.cancelled():
                return answer.result()  # it came in the same turn of the loop
            raise RequestTimeout(method, seconds, sent=True) from None
        finally:
            self._pending.expire(request_id)

    def answered(self, session: Session, response: Response) -> tuple[Settlement, Response]:
        """Give `response` to its request; returns what became of it, and it with its id."""
        if response.id is None and response.error is not None:
            # A server that could not read a request does not know its id.
            only = self._pending.only() or session.turn.holder
            response = msgspec.structs.replace(response, id=only)
        settlement = self._pending.settle(response)
        if settlement is not Settlement.UNKNOWN and isinstance(response.id, str):
            session.turn.release(response.id)
        return settlement, response

    def lost(self, session: Session, code: int, detail: str) -> None:
        """Fail whatever was sent and not answered; its callers get ConnectionLost."""
        self._pending.fail_all(lambda: ConnectionLost(session.epoch, code, detail))

    def busy(self, session: Session) -> bool:
        """True while the server owes an answer, be it to a caller that has gone."""
        return len(self._pending) > 0 or session.turn.holder is not None

    async def wait_idle(self) -> None:
        """Return once nothing waits for an answer."""
        await self._pending.wait_idle()

    async def _send(self, session: Session, frame: str, on_sent: OnSent) -> None:
        if self._usable_session() is not session:
            raise NotConnected
        session.asked()
        if on_sent is not None:
            on_sent(session.epoch)
        try:
            async with asyncio.timeout(self._timeouts.send):
                await session.link.send(frame)
        except TimeoutError:
            session.give_up_sending(self._timeouts.send)
            raise SendFailed(self._timeouts.send) from None
        except LinkClosed:
            # The bytes may have left before: the reader, which sees the end too, fails the answer.
            return


def _encoded(request: Request) -> str:
    try:
        frame = encode_request(request)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"The request cannot be written as JSON: {error}") from None
    size = len(frame.encode())
    if size > MAX_FRAME_BYTES:
        raise RequestTooLarge(size, MAX_FRAME_BYTES)
    return frame
