"""A folder, and a simulated watcher of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.watch.simulation import Simulation


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def run(root: Path) -> Iterator[Simulation]:
    with Simulation(root) as simulation:
        yield simulation
