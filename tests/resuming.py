"""What tests of interrupted ingestions share: a long document, a look into the store."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def long_document(path: Path, paragraphs: int = 500) -> Path:
    """A text whose embedding takes some seconds."""
    words = "harbour ledger quarry violin meadow turbine archive lantern orchard signal".split()
    lines = [
        " ".join(words[(i * 7 + k * (i % 9 + 1)) % 10] + str(i * k) for k in range(40))
        for i in range(paragraphs)
    ]
    path.write_text("\n\n".join(lines) + ".\n")
    return path


def in_store(data: Path) -> int:
    with sqlite3.connect(data / "knowledge.db") as connection:
        (count,) = connection.execute("SELECT count(*) FROM documents").fetchone()
    connection.close()
    return int(count)
