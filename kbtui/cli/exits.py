"""The exit codes of the command line: a contract that scripts rely on."""

from __future__ import annotations

from collections import Counter
from enum import IntEnum

from kbtui.ingest.jobs import JobState


class Exit(IntEnum):
    """What the process exits with; a signal n exits with 128 + n."""

    DONE = 0
    SOME_FAILED = 1
    USAGE = 2
    NOT_CONNECTED = 3
    TIMEOUT = 4
    OUTCOME_UNKNOWN = 5
    REFUSED = 6


SIGNAL_BASE = 128


class CommandError(Exception):
    """A command cannot go on: one sentence for stderr, and what to exit with."""

    def __init__(self, exit_code: Exit, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def exit_for(states: Counter[JobState], timed_out: int) -> Exit:
    """The exit code of an ingestion, the gravest first: unknown, timed out, failed, done."""
    if states[JobState.UNKNOWN] > timed_out:
        return Exit.OUTCOME_UNKNOWN
    if timed_out:
        return Exit.TIMEOUT
    if states[JobState.FAILED]:
        return Exit.SOME_FAILED
    return Exit.DONE
