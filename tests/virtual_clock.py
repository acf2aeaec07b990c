"""An event loop whose time jumps to the next timer instead of passing.

Real sockets work in it: time stands still while there is anything to read or write. A test of
hours runs in milliseconds and no timer depends on how busy the machine is. What runs in threads
is not waited for, so host names must be IP addresses.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_SETTLE = 0.0005
"""Real seconds in which loopback data arrives, where the kernel does not deliver it in the send."""


class _JumpingSelector(selectors.BaseSelector):
    """Asks the real selector, and jumps over the wait where nothing is ready."""

    def __init__(self) -> None:
        self.now = 0.0
        self.settle = _SETTLE
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return self._real.select(None)
        ready = self._real.select(0)
        if not ready and timeout > 0:
            ready = self._real.select(self.settle)
            if not ready:
                self.now += timeout
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.get_key(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """A selector event loop on virtual time, which starts at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now
