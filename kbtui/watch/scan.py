"""What is in a watched folder: a full scan, or a look at some files. Blocks on the file system."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kbtui.ingest.discover import SUPPORTED
from kbtui.watch.ignore import ignored_by
from kbtui.watch.settle import Signature

MAX_PROBLEMS: Final = 1000
"""Problems that a scan describes; more are only counted."""

UNSUPPORTED: Final = "unsupported type"
NO_FILE: Final = "not a regular file"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a scan could not look at, or does not follow; `path` is relative."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Look:
    """Files as they were at one time, between `began` and `ended` (monotonic seconds).

    Names are relative to the root, as `os.fsdecode` gives them: names that are not UTF-8 survive.
    """

    began: float
    ended: float
    files: dict[str, Signature]


@dataclass(frozen=True, slots=True)
class Scan:
    """A whole folder.

    `root_id` is the root's device and inode. Where the root itself cannot be read, it is None and
    `offline` says why. `unread` holds the folders whose content is not known. `passed_over` counts
    names by rule; `problems` are at most MAX_PROBLEMS, `problem_count` counts all.
    """

    look: Look
    root_id: tuple[int, int] | None
    offline: str | None
    unread: frozenset[str]
    passed_over: Counter[str]
    problems: tuple[Problem, ...]
    problem_count: int


class _Refused(Exception):
    """A path that is no candidate; the text is the reason. `problem`: worth telling."""

    def __init__(self, reason: str, *, problem: bool) -> None:
        super().__init__(reason)
        self.problem = problem


def scan(root: Path, now: Callable[[], float]) -> Scan:
    """Find every candidate under `root`. `now` is the monotonic clock. Raises nothing.

    Symlinks to folders are not followed (they may loop); symlinks to files only where the file is
    in the root too. What is no regular file is never opened.
    """
    return _Scanner(root).run(now)


def look_at(root: Path, names: Iterable[str], now: Callable[[], float]) -> Look:
    """Look at these files alone; those that are no candidates (any more) are left out."""
    began = now()
    files: dict[str, Signature] = {}
    real_root = os.path.realpath(root)
    for name in names:
        path = os.path.join(root, name)  # noqa: PTH118 - a Path each is too slow here
        try:
            files[name] = _signature(real_root, path, os.lstat(path))
        except (OSError, _Refused):
            continue
    return Look(began, now(), files)


def unreadable(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Which of these files cannot be opened, and why. The kernel decides, so it is asked."""
    reasons: dict[str, str] = {}
    for name in names:
        try:
            # Should a FIFO have taken the file's place, this does not wait for its writer.
            os.close(os.open(root / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            reasons[name] = (error.strerror or str(error)).lower()
    return reasons


class _Scanner:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._real_root = os.path.realpath(root)
        self._files: dict[str, Signature] = {}
        self._folders = [""]
        self._unread: set[str] = set()
        self._passed_over: Counter[str] = Counter()
        self._problems: list[Problem] = []
        self._problem_count = 0
        self._offline: str | None = None

    def run(self, now: Callable[[], float]) -> Scan:
        began = now()
        root_id: tuple[int, int] | None = None
        try:
            found = self._root.stat()
        except OSError as error:
            self._offline = _why(error)
        else:
            root_id = (found.st_dev, found.st_ino)
            while self._folders:
                self._folder(self._folders.pop())
        return Scan(
            look=Look(began, now(), self._files),
            root_id=None if self._offline else root_id,
            offline=self._offline,
            unread=frozenset(self._unread),
            passed_over=self._passed_over,
            problems=tuple(self._problems),
            problem_count=self._problem_count,
        )

    def _folder(self, folder: str) -> None:
        try:
            with os.scandir(os.path.join(self._root, folder)) as entries:  # noqa: PTH118
                for entry in entries:
                    self._entry(f"{folder}{entry.name}", entry)
        except OSError as error:
            if not folder:
                self._offline = _why(error)
            elif error.errno not in (errno.ENOENT, errno.ENOTDIR):  # gone meanwhile
                self._unread.add(folder)
                self._problem(folder, f"cannot read the folder: {_why(error)}")

    def _entry(self, name: str, entry: os.DirEntry[str]) -> None:
        rule = ignored_by(entry.name)
        if rule is not None:
            self._passed_over[rule] += 1
            return
        try:
            if entry.is_dir(follow_symlinks=False):
                self._folders.append(f"{name}/")
            elif entry.is_symlink() or _is_supported(entry.name):
                self._files[name] = _signature(
                    self._real_root, entry.path, entry.stat(follow_symlinks=False)
                )
            else:
                self._passed_over[UNSUPPORTED] += 1
        except _Refused as refused:
            self._passed_over[str(refused)] += 1
            if refused.problem:
                self._problem(name, str(refused))
        except OSError as error:
            if error.errno != errno.ENOENT:
                self._problem(name, f"cannot look at it: {_why(error)}")

    def _problem(self, path: str, reason: str) -> None:
        self._problem_count += 1
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(Problem(path, reason))


def _signature(real_root: str, path: str, found: os.stat_result) -> Signature:
    """The signature of a candidate whose lstat is `found`. Raises _Refused or OSError."""
    if stat.S_ISLNK(found.st_mode):
        found = _behind_symlink(real_root, path)
    if not stat.S_ISREG(found.st_mode):
        raise _Refused(NO_FILE, problem=False)
    if not _is_supported(path):
        raise _Refused(UNSUPPORTED, problem=False)
    return Signature(found.st_size, found.st_mtime_ns, found.st_ino)


def _behind_symlink(real_root: str, path: str) -> os.stat_result:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        raise _Refused("a symlink that leads nowhere", problem=True) from None
    if stat.S_ISDIR(found.st_mode):
        raise _Refused("a symlink to a folder, which is not followed", problem=True)
    if os.path.commonpath((real_root, os.path.realpath(path))) != real_root:
        raise _Refused("a symlink that leads out of the watched folder", problem=True)
    return found


def _is_supported(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUPPORTED  # noqa: PTH122


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
