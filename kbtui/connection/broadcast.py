"""The listeners of the connection service."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from kbtui.connection.events import ConnectionEvent

Listener = Callable[[ConnectionEvent], None]

log = logging.getLogger("kbtui.connection")


class Broadcast:
    """Calls every listener with every event, in order, whatever a listener does.

    An event that a listener causes is delivered after the one being delivered.
    """

    def __init__(self) -> None:
        self._listeners: dict[object, Listener] = {}
        self._queue: deque[ConnectionEvent] = deque()
        self._busy = False

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add `listener`; the result removes it again and may be called more than once."""
        key = object()
        self._listeners[key] = listener

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    def emit(self, event: ConnectionEvent) -> None:
        """Deliver `event`. What a listener raises is logged."""
        self._queue.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._queue:
                following = self._queue.popleft()
                for listener in tuple(self._listeners.values()):
                    try:
                        listener(following)
                    except Exception:
                        log.exception("a listener failed on %s", type(following).__name__)
        finally:
            self._busy = False
