"""What the tests of the knowledge base share: opening one, sources, and a server to be killed."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kbtui.server.knowledge_base import KnowledgeBase, Source, StageReport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DATA = Path(__file__).parent.parent / "data"


@asynccontextmanager
async def opened(data_dir: Path, **options: float) -> AsyncIterator[KnowledgeBase]:
    """A knowledge base, closed at the end."""
    base = await KnowledgeBase.open(data_dir, **options)
    try:
        yield base
    finally:
        await base.aclose()


def source(
    path: Path, *, domain: str | None = None, key: str | None = None, document_id: str = ""
) -> Source:
    """A source as the session layer makes one."""
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    identity = document_id or str(uuid.uuid4())
    return Source(path, identity, path.name, domain, digest, len(data), key)


def quiet(report: StageReport) -> None:
    """Takes a report and does nothing."""


def large_text(path: Path, paragraphs: int = 20_000) -> Path:
    """A file of some megabytes: parsed, it fills every pipe and buffer between two processes."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(paragraphs):
            file.write(f"Paragraph {number} tells of the weather at station {number * 7 % 1000}, ")
            file.write(
                "where the Harbour Office wrote down wind, rain and the state of the sea.\n\n"
            )
    return path


def running(pid: int) -> bool:
    """Whether a process lives; one that only waits to be reaped does not."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


async def until_gone(pid: int) -> None:
    """Waits for a process to end."""
    async with asyncio.timeout(10):
        while await asyncio.to_thread(running, pid):
            await asyncio.sleep(0.02)


async def main(data_dir: Path, paths: list[Path]) -> None:
    """Ingests files, three documents at a time, and prints what happens, for a test to kill."""
    base = await KnowledgeBase.open(data_dir)
    gate = asyncio.Semaphore(3)

    def report(said: StageReport) -> None:
        print("stage", said.stage, base._pipeline.parser.pid, flush=True)

    async def one(path: Path) -> None:
        async with gate:
            made = source(path)
            if await base.find_by_content(None, made.sha256) is None:
                await base.ingest(made, report)
                print("stored", made.document_id, flush=True)

    await asyncio.gather(*map(one, paths))
    await base.aclose()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sorted(Path(sys.argv[2]).iterdir())))
