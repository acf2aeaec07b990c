"""A server killed in the middle of ingesting leaves whole documents and a database that opens."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from typing import TYPE_CHECKING

import pytest

from tests.make_data import mixed_folder
from tests.server.kb_tools import opened, quiet, source

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("reports", [40, 150, 333])
async def test_kill_9_leaves_no_partial_document(tmp_path: Path, reports: int) -> None:
    paths = mixed_folder(tmp_path / "in", 30)
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.server.kb_tools",
        str(tmp_path / "kb"),
        str(tmp_path / "in"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    said = [(await server.stdout.readline()).split() for _ in range(reports)]
    server.kill()
    said += [line.split() for line in (await server.stdout.read()).splitlines()]
    await server.wait()
    promised = {line[1].decode() for line in said if len(line) == 2 and line[0] == b"stored"}

    database = sqlite3.connect(tmp_path / "kb" / "knowledge.db")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    documents = database.execute("SELECT id, chunks, entities FROM documents").fetchall()
    assert promised <= {row[0] for row in documents}
    assert len(documents) < len(paths)
    for identity, chunks, entities in documents:
        numbers = database.execute(
            "SELECT n FROM chunks WHERE document_id = ? ORDER BY chunk_index", (identity,)
        ).fetchall()
        assert len(numbers) == chunks
        for (number,) in numbers:
            sizes = database.execute(
                "SELECT length(vector) FROM windows WHERE chunk = ?", (number,)
            ).fetchall()
            assert sizes
            assert set(sizes) == {(384 * 4,)}
        (mentioned,) = database.execute(
            "SELECT count(DISTINCT entity) FROM mentions m JOIN chunks c ON c.n = m.chunk"
            " WHERE c.document_id = ?",
            (identity,),
        ).fetchone()
        assert mentioned == entities
    database.execute("INSERT INTO windows_text (windows_text) VALUES ('integrity-check')")
    database.close()

    async with opened(tmp_path / "kb") as base:
        for path in paths:
            made = source(path)
            if await base.find_by_content(None, made.sha256) is None:
                await base.ingest(made, quiet)
        assert (await base.counts()).documents == len(paths)
