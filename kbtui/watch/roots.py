"""The folders that a person wants watched: checked together, each locked against a second kbtui."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self


class WatchError(Exception):
    """A folder cannot be watched; the text is one sentence that says why."""


class RootBusy(WatchError):
    """Another kbtui watches the folder."""


def check_roots(given: Sequence[Path]) -> list[Path]:
    """The folders as absolute paths. Blocks. Raises WatchError where one is none, or two overlap:
    a file would be handed over twice."""
    roots: list[Path] = []
    for path in given:
        root = Path(os.path.abspath(path.expanduser()))
        if not root.exists():
            raise WatchError(f"there is no folder {str(path)!r} to watch")
        if not root.is_dir():
            raise WatchError(f"{str(path)!r} is a file; only folders can be watched")
        for other in roots:
            real, real_other = root.resolve(), other.resolve()
            if real == real_other:
                raise WatchError(f"the folder {str(path)!r} is given twice")
            if real.is_relative_to(real_other) or real_other.is_relative_to(real):
                raise WatchError(
                    f"the folders {str(other)!r} and {str(root)!r} overlap: watch only one of them"
                )
        roots.append(root)
    return roots


class RootLocks:
    """Keeps a second kbtui of this user from watching the same folders. A context manager; the
    locks (flock) end with the process, however it ends."""

    def __init__(self, folder: Path, roots: Sequence[Path]) -> None:
        """`folder` is where the lock files go; it is made when it is not there."""
        self._folder = folder
        self._roots = roots
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Take all locks. Blocks shortly. Raises RootBusy, or WatchError."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for root in self._roots:
                self._lock(root)
        except OSError as error:
            self._open.close()
            raise WatchError(f"cannot write to {self._folder}: {error.strerror}") from None
        except WatchError:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _lock(self, root: Path) -> None:
        name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()
        file = self._open.enter_context((self._folder / f"{name}.lock").open("w"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RootBusy(f"another kbtui watches {str(root)!r} already") from None
