"""The exit codes for outcomes that are not known, from the rule and from real runs."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from kbtui.cli.exits import Exit, exit_for
from kbtui.ingest.jobs import JobState
from tests.processes import last_states, run_kbtui

S = JobState


@pytest.mark.parametrize(
    ("states", "timed_out", "code"),
    [
        ([], 0, Exit.DONE),
        ([S.COMPLETED, S.SKIPPED], 0, Exit.DONE),
        ([S.COMPLETED, S.FAILED], 0, Exit.SOME_FAILED),
        ([S.FAILED, S.UNKNOWN], 1, Exit.TIMEOUT),
        ([S.FAILED, S.UNKNOWN, S.UNKNOWN], 1, Exit.OUTCOME_UNKNOWN),
        ([S.FAILED, S.UNKNOWN], 0, Exit.OUTCOME_UNKNOWN),
    ],
)
def test_the_gravest_outcome_decides(states: list[S], timed_out: int, code: Exit) -> None:
    assert exit_for(Counter(states), timed_out) is code


def test_a_timeout_is_4_and_what_it_leaves_open_is_5(home: Path, documents: Path) -> None:
    command = [sys.executable, "-m", "tests.kbv2.replay", "--version", "2026-01-29", "--port", "0"]
    server = subprocess.Popen(
        [*command, "--speed", "0", "--never-answer"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        url = server.stdout.readline().split()[-1]
        path = documents / "tea.md"
        arguments = ["ingest", path, "--server", url, "--json", "--timeout", "0.5"]
        first = run_kbtui(*arguments, home=home)
        assert first.returncode == 4, first.stderr
        job = last_states(first.stdout)[str(path)]
        assert job["state"] == "unknown"
        assert "longer than expected" in job["reason"]
        # The same again is not sent: nobody knows what became of it.
        second = run_kbtui(*arguments, home=home)
        assert second.returncode == 5, second.stderr
        assert "unknown outcome" in last_states(second.stdout)[str(path)]["reason"]
    finally:
        server.terminate()
        server.communicate()
