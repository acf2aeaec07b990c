"""Completing a path that a person is typing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOST_READ: Final = 5_000
"""A folder is read no further than this: completion is a help, not a listing."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file or folder that what was typed may go on to. `typed` is what would stand there."""

    typed: str
    name: str
    folder: bool


def expand(typed: str) -> Path:
    """The path that was typed, with `~` replaced."""
    try:
        return Path(typed.strip()).expanduser()
    except RuntimeError:  # nobody's home
        return Path(typed.strip())


def complete(typed: str, limit: int = 50) -> list[Candidate]:
    """What may follow: folders first, then files; hidden ones only after a typed dot.

    Reads one folder. Raises nothing: a folder that cannot be read has no candidates.
    """
    if typed == "~":
        return [Candidate("~/", "~/", True)]
    head, slash, start = typed.rpartition("/")
    folder = expand(head + slash) if slash else Path()
    found: list[Candidate] = []
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= MOST_READ:
                    break
                if not entry.name.casefold().startswith(start.casefold()):
                    continue
                if entry.name.startswith(".") and not start.startswith("."):
                    continue
                is_folder = _is_folder(entry)
                end = "/" if is_folder else ""
                found.append(
                    Candidate(head + slash + entry.name + end, entry.name + end, is_folder)
                )
    except (OSError, ValueError):
        return []
    found.sort(key=lambda item: (not item.folder, item.name.casefold()))
    return found[:limit]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def common_start(candidates: list[Candidate]) -> str:
    """What all candidates have in common: as far as one press of Tab can go."""
    if not candidates:
        return ""
    low, high = min(item.typed for item in candidates), max(item.typed for item in candidates)
    length = 0
    while length < len(low) and low[length] == high[length]:
        length += 1
    return low[:length]
