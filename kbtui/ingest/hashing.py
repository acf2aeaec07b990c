"""A file's identity: its size and the SHA-256 of its content."""

from __future__ import annotations

import hashlib
from pathlib import Path


class Unreadable(Exception):
    """The file cannot be read; the text is one sentence that says why."""


def size_and_sha256(path: Path) -> tuple[int, str]:
    """Bytes and hexadecimal SHA-256, read in pieces. Blocks. Raises Unreadable."""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), sha256
    except FileNotFoundError:
        raise Unreadable("the file has vanished") from None
    except OSError as error:
        raise Unreadable(f"cannot read the file: {error.strerror}") from None
