"""Decisions about this machine: folders, disk, libraries, memory, files. Pure."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kbtui.client.doctor.findings import Finding, failed, passed, warning

MIB: Final = 1024 * 1024
LEAST_DISK: Final = 50 * MIB
"""Below this the journal's next write may fail, and new work is refused."""

LOW_DISK: Final = 1024 * MIB
LOW_MEMORY: Final = 1024 * MIB
"""The embedded server with its model and a large PDF takes several hundred MiB."""

EMBEDDED_MOST: Final = 512 * MIB
"""The largest file that the embedded server reads."""

INSTALL: Final = "install them with: pip install 'kbtui[server]'"


def judge_folders(unusable: Mapping[str, str], *, log: str) -> Finding:
    """`unusable`: the folders that cannot be written, each with why; `log` is the log's one."""
    if not unusable:
        return passed("kbtui's folders can be written")
    detail = "; ".join(f"{folder}: {why}" for folder, why in unusable.items())
    step = "give yourself the right to write there, or set KBTUI_HOME to another folder"
    if set(unusable) == {log}:
        return warning(f"no log is written: {detail}", f"{step}, or use --log-file")
    return failed(f"cannot write: {detail}", step)


def judge_disk(free: Mapping[str, int]) -> Finding:
    """`free`: bytes by folder."""
    least = min(free.values())
    where = next(folder for folder, size in free.items() if size == least)
    detail = f"{size_text(least)} free for {where}"
    step = "free some space, or set KBTUI_HOME to a folder on another disk"
    if least < LEAST_DISK:
        return failed(f"{detail}: the journal may not be able to grow", step)
    if least < LOW_DISK:
        return warning(f"{detail}: not much for a knowledge base", step)
    return passed(detail)


def judge_journal(folder: str, schema: int | None, known: int) -> Finding:
    """`schema`: the number that the journal bears, None without a journal; `known`: ours."""
    if schema is None:
        return passed(f"no journal yet in {folder}: the first ingestion makes it")
    if schema > known:
        return failed(
            f"the journal in {folder} was written by a newer kbtui",
            "upgrade kbtui, or set KBTUI_HOME to another folder",
        )
    return passed(f"the journal in {folder} opens")


def judge_journal_error(folder: str, error: Exception) -> Finding:
    """The journal cannot be opened, read, or locked."""
    detail = f"the journal in {folder} does not open: {error}"
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return warning(detail, "another kbtui writes to it without end: see which one runs")
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        step = "it is damaged: move journal.db away; what was queued has to be ingested again"
        return failed(detail, step)
    return failed(detail, "check the folder's rights, or set KBTUI_HOME to another folder")


def judge_libraries(versions: Mapping[str, str | None], missing: Sequence[str] | None) -> Finding:
    """`missing`: what the embedded server lacks; None where it is not meant."""
    shown = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    absent = [name for name, version in versions.items() if version is None]
    if absent:
        return failed(shown, "install kbtui anew: pip install kbtui")
    if missing:
        detail = f"{shown}; the embedded server's libraries are missing: {', '.join(missing)}"
        return failed(detail, f"{INSTALL}, or name another server with --server")
    return passed(shown + ("" if missing is None else "; the embedded server's libraries"))


def judge_token(token: str) -> Finding:
    """What a token must not hold; the token itself is never told."""
    if token != token.strip():
        return failed(
            "the token begins or ends with a blank or a line break",
            "set the variable without it, say with $(cat FILE) instead of a file's raw content",
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        return warning(
            "the token holds characters that HTTP does not allow in one",
            "check that the variable holds the token and nothing else",
        )
    return passed(f"a token of {len(token)} characters is sent")


def judge_limits(memory: int | None, *, embedded: bool, message_bytes: int) -> Finding:
    """`memory`: bytes that programs can still get here; None where that is not known."""
    most = f"messages up to {size_text(message_bytes)}"
    if embedded:
        most += f", documents up to {size_text(EMBEDDED_MOST)}"
    else:
        most += "; documents go by path, the server's memory is their limit"
    if memory is None:
        return passed(most)
    detail = f"{most}; {size_text(memory)} of memory available here"
    if embedded and memory < LOW_MEMORY:
        step = "close other programs, or ingest with --concurrency 1"
        return warning(f"{detail}: little for the embedded server", step)
    return passed(detail)


class Place(StrEnum):
    """Where the server runs, as seen from here."""

    EMBEDDED = "embedded"
    HERE = "here"
    ELSEWHERE = "elsewhere"
    ANYWHERE = "anywhere"
    """It takes files that it does not see: they are sent to it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A path as seen from here. `size` is a file's, in bytes; None for a folder."""

    path: str
    exists: bool
    readable: bool
    size: int | None


def judge_path(sight: Sight, place: Place, server: str, remote: str) -> Finding:
    """Whether `server` can be expected to read a path, which it is given as `remote`.

    Only an ingestion would prove it.
    """
    path = sight.path if remote == sight.path else f"{sight.path} (there {remote})"
    if not sight.exists:
        step = "check the path; relative ones start at the current folder"
        if place is Place.ELSEWHERE:
            return warning(f"{path}: not there on this machine", f"{step}, here and on {server}")
        return failed(f"{path}: no such file or folder", step)
    if not sight.readable:
        return failed(f"{path}: you may not read it", "give yourself the right to read it")
    if place is Place.ANYWHERE:
        return passed(f"{path}: {server} is sent the files that it does not see itself")
    if place is Place.ELSEWHERE:
        return warning(
            f"{path}: there is no telling from here whether {server} sees it",
            f"the server must have the same file as {remote}: mount the folder there, name the "
            "folder it has with --map, or run kbtui on the server",
        )
    if place is Place.EMBEDDED:
        if sight.size is not None and sight.size > EMBEDDED_MOST:
            return failed(
                f"{path}: {size_text(sight.size)} is more than the embedded server reads",
                f"split the document: {size_text(EMBEDDED_MOST)} is the most",
            )
        return passed(f"{path}: the embedded server sees what you see")
    return passed(
        f"{path}: the server seems to be this machine; not known: a container or a tunnel, "
        "the rights of its user, the --root folders of kbtui serve"
    )


def size_text(size: int) -> str:
    """Bytes for people."""
    value, units = float(size), iter(("bytes", "KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    for larger in units:
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if value >= 10 or unit == "bytes" else f"{value:.1f} {unit}"
