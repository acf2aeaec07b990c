"""The database file: private, versioned, and refused when it is not ours to read."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kbtui.server.knowledge_base import KnowledgeBase, KnowledgeBaseError
from kbtui.server.reporter import Reporter
from kbtui.server.store.schema import SCHEMA_VERSION
from kbtui.server.store.vectors import VectorMatrix
from tests.server.kb_tools import opened

if TYPE_CHECKING:
    from pathlib import Path

    from kbtui.server.knowledge_base import StageReport


async def test_files_are_private(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "kb"
    async with opened(directory) as base:
        await base.counts()
        assert directory.stat().st_mode & 0o777 == 0o700
        files = list(directory.iterdir())
        assert {file.name for file in files} >= {"knowledge.db"}
        assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (f"PRAGMA user_version = {SCHEMA_VERSION + 1}", "newer kbtui"),
        ("UPDATE meta SET value = 'other' WHERE key = 'embedder'", "made with the embedder other"),
    ],
)
async def test_a_database_of_another_making_is_refused(
    tmp_path: Path, statement: str, expected: str
) -> None:
    async with opened(tmp_path):
        pass
    database = sqlite3.connect(tmp_path / "knowledge.db")
    with database:
        database.execute(statement)
    database.close()
    with pytest.raises(KnowledgeBaseError, match=expected) as caught:
        await KnowledgeBase.open(tmp_path)
    assert "\n" not in str(caught.value)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "knowledge.db").write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(KnowledgeBaseError, match="not a database"):
        await KnowledgeBase.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(KnowledgeBaseError, match="cannot be opened"):
        await KnowledgeBase.open(tmp_path / "file" / "kb")


def test_the_matrix_grows_and_finds_the_nearest() -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE windows (n INTEGER PRIMARY KEY, vector BLOB)")
    matrix = VectorMatrix()
    chance = np.random.default_rng(1)
    vectors = chance.standard_normal((500, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query = vectors[123]
    assert matrix.nearest(query, 5) == []
    for end in (1, 100, 101, 500):
        (start,) = database.execute("SELECT count(*) FROM windows").fetchone()
        database.executemany(
            "INSERT INTO windows VALUES (?, ?)",
            [(row * 2 + 1, vectors[row].tobytes()) for row in range(start, end)],
        )
        matrix.catch_up(database)
        exact = sorted(range(end), key=lambda row: -float(vectors[row] @ query))[:5]
        assert [number for number, _ in matrix.nearest(query, 5)] == [n * 2 + 1 for n in exact]
    assert matrix.similarity(query, 247) == pytest.approx(1, abs=1e-5)
    assert matrix.similarity(query, 248) is None
    allowed = np.array([3, 5], np.int64)
    assert {number for number, _ in matrix.nearest(query, 5, allowed)} == {3, 5}


def test_reports_within_a_stage_are_thinned_and_the_last_is_told() -> None:
    said: list[StageReport] = []
    now = 0.0
    reporter = Reporter(said.append, lambda: now)
    reporter.started(5, "embedding")
    for current in range(1, 1001):
        now += 0.001
        reporter.progress("embedding", current, 1000)
    reporter.completed("done", 1000, 1000)
    counts = [report.current for report in said if report.status == "progress"]
    assert 9 <= len(counts) <= 11
    assert counts[-1] == 1000
    assert [said[0].status, said[-1].status] == ["started", "completed"]
