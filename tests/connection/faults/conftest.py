"""Every fault is met in both modes: `peer` is a KBV2 server and a native one in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.connection.support import Peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(params=["kbv2", "native"])
async def peer(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    async with Peer(native=request.param == "native") as started:
        yield started
