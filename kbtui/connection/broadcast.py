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
        self._subscribed: dict[object, Listener] = {}
        self._listeners: tuple[Listener, ...] = ()
        self._queue: deque[ConnectionEvent] = deque()
        self._busy = False

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add `listener`; the result removes it again and may be called more than once."""
        key = object()  # the same listener may be added twice
        self._subscribed[key] = listener
        self._listeners = tuple(self._subscribed.values())

        def unsubscribe() -> None:
            self._subscribed.pop(key, None)
            self._listeners = tuple(self._subscribed.values())

        return unsubscribe

    def emit(self, event: ConnectionEvent) -> None:
        """Deliver `event`. What a listener raises is logged."""
        if self._busy:
            self._queue.append(event)
            return
        self._busy = True
        try:
            while True:
                for listener in self._listeners:
                    try:
                        listener(event)
                    except Exception:
                        log.exception("a listener failed on %s", type(event).__name__)
                if not self._queue:
                    break
                event = self._queue.popleft()
        finally:
            self._busy = False
