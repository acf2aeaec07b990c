"""From the paths that a person names to the files to ingest, with a reason for each that is not."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SUPPORTED: Final = frozenset({".md", ".markdown", ".txt", ".html", ".htm", ".pdf", ".docx"})
"""Suffixes, in lower case, that the pipeline has a parser for."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A path that is not ingested, and why. `named` is true where the person named it itself,
    rather than a folder that it lies in: then it counts as failed, otherwise as skipped."""

    path: Path
    reason: str
    named: bool


@dataclass(slots=True)
class Discovery:
    """What was found: files in the order given (folders sorted by name), and what was refused."""

    files: list[Path] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def discover(paths: Iterable[str | os.PathLike[str]]) -> Discovery:
    """Expand files and folders into files with absolute paths. Blocks on the file system.

    Hidden files and folders inside a named folder are passed over silently, and so are symlinks
    to folders (they may loop). A file reached twice counts once.
    """
    found = Discovery()
    seen: set[Path] = set()
    for given in paths:
        path = Path(os.path.abspath(Path(given).expanduser()))
        if path.is_dir():
            candidates: Iterable[Path] = _walk(path, found)
            named = False
        else:
            candidates, named = (path,), True
        for candidate in candidates:
            if candidate in seen:
                continue
            seen.add(candidate)
            reason = refusal_reason(candidate)
            if reason is None:
                found.files.append(candidate)
            else:
                found.refusals.append(Refusal(candidate, reason, named))
    return found


def refusal_reason(path: Path) -> str | None:
    """Why a file cannot be ingested, as far as its name and kind tell; None where it can."""
    if not path.exists():
        return "no such file" if not path.is_symlink() else "a symlink that leads nowhere"
    if not path.is_file():
        return "not a regular file"
    if path.suffix.lower() not in SUPPORTED:
        kind = path.suffix.lower() or "no suffix"
        known = " ".join(sorted(SUPPORTED))
        return f"unsupported type ({kind}); supported are {known}"
    return None


def _walk(folder: Path, found: Discovery) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        where = Path(error.filename or folder)
        found.refusals.append(Refusal(where, f"cannot read the folder: {error.strerror}", True))

    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(parent, name)
