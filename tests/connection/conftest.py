"""These tests run on virtual time, with real sockets on loopback; each must leave nothing."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING

import pytest

from tests.connection.support import Peer
from tests.virtual_clock import VirtualClockLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

DESCRIPTORS = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualClockLoop}


@pytest.fixture(scope="module", autouse=True)
def quick_collections() -> None:
    """What is loaded by now is not looked through at the end of every test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """No task and no descriptor outlives a test."""
    gc.collect()  # what an earlier test left to the collector is not counted here
    tasks, descriptors = asyncio.all_tasks(), len(os.listdir(DESCRIPTORS))
    yield
    gc.collect()
    left = asyncio.all_tasks() - tasks - {asyncio.current_task()}
    assert not left
    assert len(os.listdir(DESCRIPTORS)) <= descriptors


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with Peer() as started:
        yield started
