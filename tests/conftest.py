"""Fixtures that every kind of test uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import own_home

DATA = Path(__file__).parent / "data"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A fresh $KBTUI_HOME; its embedded server is ended with the test."""
    with own_home(tmp_path / "kbtui-home") as path:
        yield path


@pytest.fixture
def documents() -> Path:
    """The folder of small real documents, one of each type."""
    return DATA
