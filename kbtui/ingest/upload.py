"""Sending a file to a native server that does not see it, in pieces, from wherever it stands."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kbtui.connection import ConnectionService
from kbtui.ingest.hashing import Unreadable
from kbtui.ingest.jobs import Job
from kbtui.protocol.messages import Progress
from kbtui.protocol.methods import (
    PIECE_BYTES,
    UPLOAD,
    InvalidShape,
    UploadParams,
    UploadResult,
    as_params,
    shaped,
)

PIECES_OUT: Final = 4
"""Pieces sent ahead of the server's answer: a distant server is not waited for after each."""

MOST_SETBACKS: Final = 3
"""How often a server may have less than before: it begins anew when the bytes are others than were
hashed, or when the same file, sent by somebody else too, has been used up."""


class UploadFailed(Exception):
    """The server does not take the file; the text is one sentence."""


async def upload(service: ConnectionService, job: Job, report: Callable[[Progress], None]) -> None:
    """Return once the server holds the job's file, as it was when it was hashed.

    Raises UploadFailed, Unreadable, or what `ConnectionService.request` raises; called again, it
    goes on where the server stands.
    """
    sending = _Sending(service, job, report)
    setbacks, before = 0, -1
    while setbacks < MOST_SETBACKS:
        stands = await sending.ask(0)
        if stands.complete:
            return
        setbacks += stands.offset <= before
        before = stands.offset
        if await sending.send_from(stands.offset):
            return
    raise UploadFailed("the server got other bytes than were hashed: has the file changed?")


class _Sending:
    def __init__(
        self, service: ConnectionService, job: Job, report: Callable[[Progress], None]
    ) -> None:
        self._service = service
        self._path = Path(job.path)
        self._sha256 = job.sha256 or ""
        self._size = job.size
        self._report = report
        self._percent = -1

    async def send_from(self, offset: int) -> bool:
        """Send the rest; False where the server does not stand where it should by that."""
        out: deque[tuple[int, asyncio.Task[UploadResult]]] = deque()
        try:
            while offset < self._size or out:
                while offset < self._size and len(out) < PIECES_OUT:
                    piece = await self._read(offset)
                    task = asyncio.create_task(self.ask(offset, piece), name="upload piece")
                    offset += len(piece)
                    out.append((offset, task))
                expected, task = out[0]
                result = await task
                out.popleft()
                if result.complete:
                    return True
                if result.offset != expected:
                    return False
                self._tell(result.offset)
        finally:
            for _, task in out:
                task.cancel()
            await asyncio.gather(*(task for _, task in out), return_exceptions=True)
        return False

    async def ask(self, offset: int, piece: bytes = b"") -> UploadResult:
        """Hand over a piece, if any; returns where the server stands."""
        params = UploadParams(self._sha256, self._size, offset, piece)
        response = await self._service.request(UPLOAD, as_params(params))
        if response.error is not None:
            raise UploadFailed(response.error.removeprefix(f"Error processing {UPLOAD}: "))
        try:
            return shaped(UploadResult, response.result)
        except InvalidShape as error:
            raise UploadFailed(f"the server's answer is not understood: {error}") from None

    async def _read(self, offset: int) -> bytes:
        piece = await asyncio.to_thread(
            _read_piece, self._path, offset, min(PIECE_BYTES, self._size - offset)
        )
        if not piece:
            raise UploadFailed("the file has become shorter while it was being sent")
        return piece

    def _tell(self, sent: int) -> None:
        percent = sent * 100 // self._size
        if percent != self._percent:
            self._percent = percent
            self._report(
                Progress(
                    stage=0,
                    status="progress",
                    message=f"sending the file: {percent} %",
                    current=sent,
                    total=self._size,
                )
            )


def _read_piece(path: Path, offset: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except FileNotFoundError:
        raise Unreadable("the file has vanished") from None
    except OSError as error:
        raise Unreadable(f"cannot read the file: {error.strerror}") from None
