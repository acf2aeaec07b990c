"""Each toxic, by what a plain TCP client and server see of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.chaos.proxy import ChaosProxy
from tests.chaos.toxics import (
    Bandwidth,
    Latency,
    LimitData,
    Reset,
    Slicer,
    SlowClose,
    Timeout,
)


class Echo:
    """Sends back what it gets, piece by piece, and notes the pieces and how each stream ended."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ends: list[str] = []
        self.port = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Echo]:
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.ensure_future(self._serve(reader, writer)))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                self.pieces.append(data)
                writer.write(data)
                await writer.drain()
            self.ends.append("EOF")
        except ConnectionResetError:
            self.ends.append("RST")
        finally:
            writer.transport.abort()
            await asyncio.sleep(0)


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    async with Echo().serving() as started:
        yield started


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[ChaosProxy]:
    async with ChaosProxy(echo.port) as started:
        yield started


@contextlib.asynccontextmanager
async def client(
    proxy: ChaosProxy,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_without_toxics_everything_passes(proxy: ChaosProxy, echo: Echo) -> None:
    async with client(proxy) as (reader, writer):
        data = bytes(range(256)) * 4000
        writer.write(data)
        assert await reader.readexactly(len(data)) == data
        writer.write_eof()
        assert await reader.read() == b""
        assert echo.ends == ["EOF"]
    assert (proxy.connections, now()) == (1, 0)


async def test_latency_delays_and_keeps_the_order(proxy: ChaosProxy) -> None:
    async with client(proxy) as (reader, writer):
        proxy.up.set(Latency(2))
        proxy.down.set(Latency(1, jitter=4))
        for number in range(20):
            writer.write(bytes([number]))
            await asyncio.sleep(0.1)
        assert await reader.readexactly(20) == bytes(range(20))
        assert 3 <= now() <= 9
        proxy.toxic_free()
        before = now()
        writer.write(b"x")
        await reader.readexactly(1)
        assert now() == before, "switched at run time"


async def test_latency_takes_nothing_from_the_throughput(proxy: ChaosProxy) -> None:
    async with client(proxy) as (reader, writer):
        proxy.up.set(Latency(2))
        writer.write(bytes(500_000))
        await reader.readexactly(500_000)
        assert now() == pytest.approx(2, abs=0.1)


async def test_bandwidth(proxy: ChaosProxy) -> None:
    async with client(proxy) as (reader, writer):
        proxy.up.set(Bandwidth(10_000))
        writer.write(bytes(50_000))
        await reader.readexactly(50_000)
        assert now() == pytest.approx(5, abs=0.1)


async def test_no_bandwidth_fills_the_senders_buffers_until_it_is_back(proxy: ChaosProxy) -> None:
    async with client(proxy) as (reader, writer):
        proxy.up.set(Bandwidth(0))
        size = 64 * 1024 * 1024
        writer.write(bytes(size))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await writer.drain()
        proxy.up.set()
        assert len(await reader.readexactly(size)) == size


async def test_slicer(proxy: ChaosProxy, echo: Echo) -> None:
    async with client(proxy) as (reader, writer):
        proxy.up.set(Slicer(10, variation=3, delay=0.5))
        writer.write(bytes(range(100)))
        assert await reader.readexactly(100) == bytes(range(100))
        assert {len(piece) for piece in echo.pieces[:-1]} <= set(range(7, 14))
        assert now() == pytest.approx(0.5 * (len(echo.pieces) - 1))


async def test_limit_data_closes_after_so_many_bytes(proxy: ChaosProxy, echo: Echo) -> None:
    async with client(proxy) as (reader, writer):
        proxy.down.set(LimitData(150))
        writer.write(bytes(100))
        await reader.readexactly(100)
        writer.write(bytes(100))
        assert len(await reader.read()) == 50


async def test_slow_close(proxy: ChaosProxy) -> None:
    async with client(proxy) as (reader, writer):
        proxy.down.set(SlowClose(7))
        writer.write(b"x")
        writer.write_eof()
        assert await reader.read() == b"x"
        assert now() == pytest.approx(7)


async def test_timeout_swallows_for_good_and_then_closes(proxy: ChaosProxy, echo: Echo) -> None:
    async with client(proxy) as (reader, writer):
        writer.write(b"before")
        await reader.readexactly(6)
        proxy.up.set(Timeout())
        writer.write(b"lost")
        await asyncio.sleep(1)
        proxy.up.set()
        writer.write(b"lost too")
        await asyncio.sleep(100)
        assert echo.pieces == [b"before"]
        proxy.down.set(Timeout(30))
        assert await reader.read() == b""
        assert now() == pytest.approx(131)
    async with client(proxy) as (reader, writer):
        proxy.toxic_free()
        writer.write(b"another connection")
        await reader.readexactly(18)


async def test_a_swallowed_end_of_stream_leaves_the_other_side_half_open(
    proxy: ChaosProxy, echo: Echo
) -> None:
    async with client(proxy) as (reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
        proxy.up.set(Timeout())
    await asyncio.sleep(1000)
    assert echo.ends == []


async def test_reset_is_an_rst_to_both_ends(proxy: ChaosProxy, echo: Echo) -> None:
    async with client(proxy) as (reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
        proxy.down.set(Reset(3))
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert now() == pytest.approx(3)
        await asyncio.sleep(0.01)
        assert echo.ends == ["RST"]


async def test_down_refuses_and_comes_back_on_its_port(proxy: ChaosProxy, echo: Echo) -> None:
    port = proxy.port
    async with client(proxy) as (reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
        await proxy.go_down()
        with pytest.raises(ConnectionResetError):
            await reader.read()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await proxy.come_back()
    async with client(proxy) as (reader, writer):
        writer.write(b"y")
        assert await reader.readexactly(1) == b"y"
    assert proxy.port == port


async def test_a_target_that_refuses_is_a_reset(echo: Echo) -> None:
    async with ChaosProxy(1) as proxy, client(proxy) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read()
