"""What a check finds: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The words are part of the command line's contract (`--json`)."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """How a check ended, what was found, and what to do next ("" where there is nothing to do).

    Both texts may hold foreign text: whoever shows them makes them plain.
    """

    status: Status
    detail: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A finding under its check's name, and how many seconds it took."""

    name: str
    finding: Finding
    seconds: float


def passed(detail: str, next_step: str = "") -> Finding:
    """All is well."""
    return Finding(Status.PASS, detail, next_step)


def warning(detail: str, next_step: str) -> Finding:
    """It works, but something may go wrong."""
    return Finding(Status.WARN, detail, next_step)


def failed(detail: str, next_step: str) -> Finding:
    """It cannot work like this."""
    return Finding(Status.FAIL, detail, next_step)


def skipped(reason: str) -> Finding:
    """Not checked; `reason` follows "skipped because"."""
    return Finding(Status.SKIP, f"skipped because {reason}")
