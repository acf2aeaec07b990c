"""What every test of the app starts from: one time zone, colours as they are."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (
        "NO_COLOR",
        "TEXTUAL",
        "TEXTUAL_THEME",
        "TEXTUAL_COLOR_SYSTEM",
        "COLUMNS",
        "LINES",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.pop("NO_COLOR", None)
    time.tzset()
