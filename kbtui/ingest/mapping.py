"""Where a server sees our files: folders here and the same folders there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ABSOLUTE: Final = re.compile(r"/|\\\\|[A-Za-z]:[\\/]")
"""How a path begins that means the same wherever the server was started, also on Windows."""


class InvalidMapping(ValueError):
    """A mapping cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class PathMap:
    """Pairs of a local and a remote folder (both without a separator at the end)."""

    folders: tuple[tuple[str, str], ...] = ()

    def remote(self, path: str) -> str:
        """What the server calls an absolute local path: the pair with the longest local folder
        above it (or the same as it) decides; without one the path is the same there."""
        fitting = [
            pair for pair in self.folders if path == pair[0] or path.startswith(pair[0] + "/")
        ]
        if not fitting:
            return path
        local, remote = max(fitting, key=lambda pair: len(pair[0]))
        return (remote + path[len(local) :]) or "/"


def path_map(texts: Iterable[str]) -> PathMap:
    """Read mappings written LOCAL=REMOTE. LOCAL may be relative and begin with `~`.

    Raises InvalidMapping with a sentence.
    """
    folders: dict[str, str] = {}
    for text in texts:
        local, separator, remote = text.partition("=")
        if not separator or not local or not remote:
            raise InvalidMapping(f"{text!r} is not LOCAL=REMOTE, such as ~/papers=/srv/papers")
        if not _ABSOLUTE.match(remote):
            raise InvalidMapping(f"{remote!r} is not an absolute path on the server")
        local = os.path.abspath(Path(local).expanduser()).rstrip("/")
        if folders.setdefault(local, remote.rstrip("/")) != remote.rstrip("/"):
            raise InvalidMapping(f"{local or '/'} is mapped to two folders")
    return PathMap(tuple(folders.items()))
