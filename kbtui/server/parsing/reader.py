"""Reading any supported file: the bytes, checked, and the reader for their type."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kbtui.server.parsing.document import Document, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

SUFFIXES: Final = frozenset({".md", ".txt", ".html", ".htm", ".pdf", ".docx"})
"""The endings of the files that can be ingested, lower case."""

MAX_BYTES: Final = 512 << 20
"""The largest file read; its text, chunks and entities are held in memory while it is parsed."""


def shown(path: Path | str) -> str:
    """A path fit for one line of a message, whatever characters it has."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(path))


def check(path: Path) -> int:
    """The size in bytes of a file that looks fit to be read.

    Raises:
        UnreadableError: gone, no permission, empty, too large, no file, or an unsupported type.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UnreadableError(os_message(path, error)) from None
    if not path.is_file():
        raise UnreadableError(f"not a regular file: {shown(path)}")
    if path.suffix.lower() not in SUFFIXES:
        raise UnreadableError(
            f"files of type {shown(path.suffix) or 'unknown'} are not supported,"
            f" only {', '.join(sorted(SUFFIXES))}: {shown(path)}"
        )
    if status.st_size == 0:
        raise UnreadableError(f"the file is empty: {shown(path)}")
    if status.st_size > MAX_BYTES:
        raise UnreadableError(
            f"the file is larger than {MAX_BYTES >> 20} MiB, split it first: {shown(path)}"
        )
    return status.st_size


def read_document(path: Path, sha256: str, progress: Callable[[int, int], None]) -> Document:
    """Reads and parses one file; `progress` gets pages read and pages in all.

    Raises:
        UnreadableError: any of the reasons for which a file cannot be ingested.
    """
    check(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableError(os_message(path, error)) from None
    if not data:
        raise UnreadableError(f"the file is empty: {shown(path)}")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UnreadableError(
            f"the file changed while it was waiting to be read, ingest it again: {shown(path)}"
        )
    try:
        document = _read(path.suffix.lower(), data, progress)
    except UnreadableError as error:
        raise UnreadableError(f"{error} ({shown(path)})") from error
    if not any(char.isalnum() for char in document.text):
        raise UnreadableError(f"no text found in the file: {shown(path)}")
    return document


def _read(suffix: str, data: bytes, progress: Callable[[int, int], None]) -> Document:
    if suffix == ".pdf":
        from kbtui.server.parsing.pdf import read_pdf

        return read_pdf(data, progress)
    if suffix == ".docx":
        from kbtui.server.parsing.office import read_docx

        return read_docx(data)
    from kbtui.server.parsing import text

    readers = {".md": text.read_markdown, ".txt": text.read_plain}
    return readers.get(suffix, text.read_html)(data)


def os_message(path: Path, error: OSError) -> str:
    """One line on why the system would not let a file be read."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"the file is gone: {shown(path)}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"no permission to read the file: {shown(path)}"
    return f"the file cannot be read ({error.strerror or type(error).__name__}): {shown(path)}"
