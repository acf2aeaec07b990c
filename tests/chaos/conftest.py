"""These tests run on virtual time, with real sockets on loopback; each must leave nothing."""

from __future__ import annotations

from tests.connection.conftest import nothing_left, pytest_asyncio_loop_factories

__all__ = ["nothing_left", "pytest_asyncio_loop_factories"]
