"""Which files the server may read, and what is in them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kbtui.server.errors import IngestError


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file's content as hexadecimal SHA-256, and its size in bytes."""

    sha256: str
    size: int


def readable_path(file_path: str, roots: Sequence[Path]) -> Path:
    """The real path of a file that a client named, with every symlink followed.

    Raises IngestError where it is no regular file or lies outside all `roots` (real paths).
    What lies outside is refused before it is touched, so that nothing is learned about it.
    """
    if "\x00" in file_path:
        raise IngestError(0, "the path holds a NUL character")
    path = Path(os.path.realpath(file_path))
    if not any(path.is_relative_to(root) for root in roots):
        raise IngestError(0, f"{path} is outside the folders that this server may read (--root)")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise IngestError(0, f"the file is gone: {path}") from None
    except OSError as error:
        raise IngestError(0, f"cannot read {path}: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise IngestError(0, f"{path} is not a regular file")
    return path


def digest(path: Path) -> FileDigest:
    """Read the whole file once, in pieces. Raises IngestError with a sentence."""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return FileDigest(sha256, file.tell())
    except FileNotFoundError:
        raise IngestError(0, f"the file is gone: {path}") from None
    except OSError as error:
        raise IngestError(0, f"cannot read {path}: {error.strerror}") from None


def read_content(
    file_path: str, roots: Sequence[Path], sha256: str | None
) -> tuple[Path, FileDigest]:
    """The real path of a file that a client named, and what is in it: `sha256`, where it says so.

    Raises IngestError with a sentence.
    """
    path = readable_path(file_path, roots)
    content = digest(path)
    if sha256 is not None and sha256 != content.sha256:
        raise IngestError(0, f"{path} has changed since it was queued")
    return path, content
