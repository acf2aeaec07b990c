"""The parser process: it may die or hang, and it never outlives its server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from kbtui.server.knowledge_base import IngestError
from tests.server.kb_tools import DATA, large_text, opened, quiet, running, source, until_gone

if TYPE_CHECKING:
    from pathlib import Path

    from kbtui.server.knowledge_base import StageReport, StoredDocument


@pytest.mark.parametrize("stage", [1, 2])
async def test_a_parser_that_dies_fails_its_document_only(tmp_path: Path, stage: int) -> None:
    large = source(large_text(tmp_path / "large.md"))
    async with opened(tmp_path / "kb") as base:
        killed: list[int] = []
        waiting: list[asyncio.Task[StoredDocument]] = []

        def kill(said: StageReport) -> None:
            pid = base._pipeline.parser.pid
            if (said.stage, said.status) == (stage, "started") and pid is not None:
                killed.append(pid)
                waiting.append(asyncio.create_task(base.ingest(source(DATA / "tea.md"), quiet)))
                os.kill(pid, signal.SIGKILL)

        with pytest.raises(
            IngestError, match=r"the parser crashed \(signal 9\).*large\.md"
        ) as caught:
            await base.ingest(large, kill)
        assert caught.value.stage == stage
        await waiting[0]
        assert base._pipeline.parser.pid not in (None, *killed)
        assert (await base.counts()).documents == 1


async def test_a_parser_that_hangs_is_stopped(tmp_path: Path) -> None:
    large = source(large_text(tmp_path / "large.md"))
    async with opened(tmp_path / "kb", parse_timeout=2) as base:
        stopped: list[int] = []

        def stop(said: StageReport) -> None:
            pid = base._pipeline.parser.pid
            if (said.stage, said.status) == (2, "started") and pid is not None:
                stopped.append(pid)
                os.kill(pid, signal.SIGSTOP)

        with pytest.raises(IngestError, match="no progress for 2 s") as caught:
            await base.ingest(large, stop)
        assert caught.value.stage == 2
        await until_gone(stopped[0])
        await base.ingest(source(DATA / "tea.md"), quiet)


async def test_signals_for_the_whole_group_do_not_reach_the_parsers_work(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:

        def interrupt(said: StageReport) -> None:
            pid = base._pipeline.parser.pid
            if said.stage == 1 and pid is not None:
                os.kill(pid, signal.SIGINT)
                os.kill(pid, signal.SIGTERM)

        await base.ingest(source(DATA / "tidal.pdf"), interrupt)


async def test_a_cancelled_document_frees_the_parser_for_the_next(tmp_path: Path) -> None:
    large = source(large_text(tmp_path / "large.md"))
    async with opened(tmp_path / "kb") as base:
        reading = asyncio.Event()

        def report(said: StageReport) -> None:
            if said.stage == 1:
                reading.set()

        task = asyncio.create_task(base.ingest(large, report))
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await base.ingest(source(DATA / "tea.md"), quiet)
        assert (await base.counts()).documents == 1


async def test_closing_ends_the_parser(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        await base.ingest(source(DATA / "tea.md"), quiet)
        pid = base._pipeline.parser.pid
        assert pid is not None
        assert running(pid)
    await until_gone(pid)


async def test_the_parser_ends_when_its_server_is_killed_in_mid_document(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    large_text(folder / "large.md")
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.server.kb_tools",
        str(tmp_path / "kb"),
        str(folder),
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    pid = 0
    while not pid:
        word, stage, child = (await server.stdout.readline()).split()
        assert word == b"stage"
        if int(stage) == 1:
            pid = int(child)
    assert running(pid)
    server.kill()
    await server.wait()
    await until_gone(pid)


async def test_the_parser_process_loads_no_model(tmp_path: Path) -> None:
    code = (
        "import hashlib, pathlib, sys\n"
        "from kbtui.server.parsing import child, messages\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    digest = hashlib.sha256(path.read_bytes()).hexdigest()\n"
        "    child.parse(messages.ParseRequest(str(path), digest), lambda answer: None)\n"
        "print(sorted({'numpy', 'onnxruntime', 'textual'} & set(sys.modules)))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(DATA), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().strip() == "[]"
