"""Documents that clients send because this server does not see their files."""

from __future__ import annotations

import asyncio
import math
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kbtui.protocol.methods import UploadParams, UploadResult
from kbtui.server.errors import IngestError
from kbtui.server.files import digest

MAX_UPLOAD: Final = 512 << 20
"""Bytes of the largest file taken, unless the server is told otherwise: what the parser reads."""

FILES_AT_ONCE: Final = 4
"""So many files of the largest size may be held at once, all clients' together."""

ABANDONED_SECONDS: Final = 3600.0
"""An upload that nobody has continued or used for so long is removed."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_UNFINISHED: Final = ".part"
_NAME_BYTES: Final = 200


@dataclass(slots=True)
class _Upload:
    """One file. `size` is what it will have, `held` what is here; `touched` in epoch seconds."""

    held: int
    size: int
    complete: bool
    touched: float
    users: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Uploads:
    """Files by the SHA-256 of their content, in a folder of the data folder.

    Each is built up in order, from wherever it stands, also after a restart; checked when it is
    complete; removed when it has been ingested or was abandoned. Two clients that send the same
    content build up the same file.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int = MAX_UPLOAD,
        *,
        abandoned_after: float = ABANDONED_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take over what `folder` holds. Blocks for a moment."""
        self._folder = folder
        self._lent = folder / "lent"
        self._max_bytes = max_bytes
        self._abandoned_after = abandoned_after
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._uploads: dict[str, _Upload] = {}
        self._adding: set[asyncio.Task[UploadResult]] = set()
        shutil.rmtree(self._lent, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lent.mkdir(mode=0o700)
        for path in folder.iterdir():
            name = path.name.removesuffix(_UNFINISHED)
            if _SHA256.fullmatch(name):
                status = path.stat()
                complete = path.suffix != _UNFINISHED
                self._uploads[name] = _Upload(
                    status.st_size, status.st_size, complete, status.st_mtime
                )
        self._sweep()

    def holds(self, sha256: str) -> bool:
        """Whether a file is here as a whole."""
        upload = self._uploads.get(sha256)
        return upload is not None and upload.complete

    async def take(self, params: UploadParams) -> UploadResult:
        """Add a piece to a file and say how much of it is here.

        A piece that does not begin where the file ends is left out, so that a client without any
        learns where to go on. A file whose content is not what was announced is removed, and its
        offset is 0 again. Raises IngestError with a sentence.
        """
        adding = asyncio.create_task(self._add(self._of(params), params), name="upload")
        self._adding.add(adding)
        adding.add_done_callback(self._adding.discard)
        # A client that goes away must not let go of the lock while its piece is being written.
        return await asyncio.shield(adding)

    async def _add(self, upload: _Upload, params: UploadParams) -> UploadResult:
        async with upload.lock:
            upload.touched = self._clock()
            if upload.complete:
                return UploadResult(upload.size, complete=True)
            if params.data and params.offset == upload.held:
                await asyncio.to_thread(self._append, params.sha256, upload, params.data)
                upload.held += len(params.data)
            if upload.held == upload.size:
                upload.complete = await asyncio.to_thread(self._finish, params.sha256)
                if not upload.complete:
                    upload.held = 0
            return UploadResult(upload.held, upload.complete)

    @asynccontextmanager
    async def lend(self, sha256: str, document_id: str, name: str) -> AsyncIterator[Path]:
        """A complete file, under `name`, while it is being ingested; after that it is removed.

        Cancelled, the file stays for the ingestion that may follow, until it counts as abandoned.
        """
        upload = self._uploads[sha256]
        folder = self._lent / document_id
        folder.mkdir(mode=0o700)
        path = folder / file_name(name)
        path.symlink_to(self._path(sha256))
        upload.users += 1
        try:
            yield path
        except asyncio.CancelledError:
            upload.touched = self._clock()
            raise
        except BaseException:
            upload.touched = -math.inf
            raise
        else:
            upload.touched = -math.inf
        finally:
            upload.users -= 1
            shutil.rmtree(folder, ignore_errors=True)
            self._sweep()

    def plainly(self, message: str) -> str:
        """A message without our folders: a client knows its files by their names."""
        return re.sub(re.escape(str(self._lent)) + "/[^/]*/", "", message)

    async def aclose(self) -> None:
        """Look after the folder no longer; what is there waits for the next start."""
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._adding, return_exceptions=True)

    def _of(self, params: UploadParams) -> _Upload:
        """The file that a piece belongs to, known or new. Raises IngestError."""
        if not _SHA256.fullmatch(params.sha256):
            raise IngestError(0, "sha256 must be 64 hexadecimal digits in lower case")
        if not 0 < params.size <= self._max_bytes:
            raise IngestError(
                0,
                f"the file has {params.size:,} bytes, and this server takes uploads of up to "
                f"{self._max_bytes:,} (--max-upload)",
            )
        if params.offset < 0 or params.offset + len(params.data) > params.size:
            raise IngestError(0, "the piece is not within the file")
        self._sweep()
        upload = self._uploads.get(params.sha256)
        if upload is None:
            total = sum(other.size for other in self._uploads.values()) + params.size
            if total > FILES_AT_ONCE * self._max_bytes:
                raise IngestError(0, "the server holds too many uploads already; try again later")
            upload = _Upload(0, params.size, complete=False, touched=self._clock())
            self._uploads[params.sha256] = upload
            self._watch()
        elif not upload.complete and upload.held <= params.size:
            upload.size = params.size  # after a restart it is not known
        elif upload.size != params.size:
            raise IngestError(0, "another size was announced for the same content")
        return upload

    def _append(self, sha256: str, upload: _Upload, data: bytes) -> None:
        path = self._path(sha256, _UNFINISHED)
        try:
            with path.open("r+b" if path.exists() else "xb") as file:
                # What a failed write has left is written over.
                file.truncate(upload.held)
                file.seek(upload.held)
                file.write(data)
        except OSError as error:
            raise IngestError(0, f"the upload cannot be stored: {error.strerror}") from None

    def _finish(self, sha256: str) -> bool:
        """Check a file that has its size; it is removed where its content is another."""
        path = self._path(sha256, _UNFINISHED)
        if digest(path).sha256 != sha256:
            path.unlink(missing_ok=True)
            return False
        path.replace(self._path(sha256))
        return True

    def _sweep(self) -> None:
        """Remove what is abandoned or used up."""
        limit = self._clock() - self._abandoned_after
        for sha256, upload in tuple(self._uploads.items()):
            if upload.users == 0 and not upload.lock.locked() and upload.touched < limit:
                del self._uploads[sha256]
                self._path(sha256).unlink(missing_ok=True)
                self._path(sha256, _UNFINISHED).unlink(missing_ok=True)
        self._watch()

    def _watch(self) -> None:
        """Sweep again when there may be something to sweep, also if no client ever comes."""
        if self._timer is None and self._uploads:
            self._timer = asyncio.get_running_loop().call_later(
                self._abandoned_after, self._on_timer
            )

    def _on_timer(self) -> None:
        self._timer = None
        self._sweep()

    def _path(self, sha256: str, suffix: str = "") -> Path:
        return self._folder / f"{sha256}{suffix}"


def file_name(path: str) -> str:
    """The last part of a client's path as a name for a file here; its ending tells the type."""
    name = re.split(r"[/\\]", path)[-1]
    name = "".join(char if char.isprintable() else "_" for char in name)
    name = name.encode()[-_NAME_BYTES:].decode("utf-8", "ignore")
    return name if name.strip(".") else "document"
