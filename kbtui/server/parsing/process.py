"""The server's side of the parser process: one child, restarted when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

import kbtui
from kbtui.server.errors import IngestError
from kbtui.server.parsing.messages import (
    LENGTH,
    Answer,
    Failed,
    Parsed,
    ParseRequest,
    decode_answer,
    frame,
)
from kbtui.server.parsing.reader import shown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

log = logging.getLogger(__name__)

_CLOSE_SECONDS: Final = 2.0
_PIPE_BYTES: Final = 1 << 20


class ParserProcess:
    """Parses one document at a time in a child process.

    A document during which the child sends nothing for `silence` seconds, or dies, fails; the
    next document gets a fresh child. The limit is on silence, not on the whole, because a long
    document reports every page and chunk.
    """

    def __init__(self, silence: float) -> None:
        self._silence = silence
        self._busy = asyncio.Lock()
        self._child: asyncio.subprocess.Process | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process id of the child, None while there is none."""
        return self._child.pid if self._child is not None else None

    async def parse(self, path: Path, sha256: str) -> AsyncGenerator[Answer, None]:
        """Progress and chunks as they come, and `Parsed` last.

        Raises:
            IngestError: the document cannot be read.
        """
        async with self._busy:
            if self._closed:
                raise IngestError(1, "the knowledge base is closing")
            child = await self._started()
            stage = 1
            finished = False
            try:
                assert child.stdin is not None
                child.stdin.write(frame(ParseRequest(str(path), sha256)))
                while not finished:
                    # Not wait_for: before Python 3.12 it can swallow a cancellation.
                    async with asyncio.timeout(self._silence):
                        answer = await self._answer(child)
                    finished = isinstance(answer, Parsed | Failed)
                    if isinstance(answer, Failed):
                        raise IngestError(answer.stage, answer.message)
                    stage = getattr(answer, "stage", stage)
                    yield answer
            except TimeoutError:
                raise IngestError(
                    stage,
                    f"the parser made no progress for {self._silence:g} s and was stopped:"
                    f" {shown(path)}",
                ) from None
            except (EOFError, OSError, msgspec.DecodeError) as error:
                how = await self._exit_reason(child)
                log.warning("parser process failed on %s: %s %r", shown(path), how, error)
                raise IngestError(
                    stage, f"the parser {how} while reading the file: {shown(path)}"
                ) from None
            finally:
                # A child left in the middle of a document, by an error or a cancelled caller,
                # would answer the next request with this document's rest.
                if not finished:
                    await self._discard()

    async def aclose(self) -> None:
        """Ends the child; a document that is being parsed fails."""
        self._closed = True
        child = self._child
        if child is None:
            return
        if child.stdin is not None:
            child.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await child.wait()
        await self._discard()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._child is not None and self._child.returncode is None:
            return self._child
        # -P keeps files in the working directory from being imported in place of libraries.
        root = str(Path(kbtui.__file__).parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "kbtui.server.parsing.child",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                limit=_PIPE_BYTES,
            )
        except OSError as error:
            raise IngestError(1, f"the parser process cannot be started: {error}") from error
        return self._child

    @staticmethod
    async def _answer(child: asyncio.subprocess.Process) -> Answer:
        assert child.stdout is not None
        head = await child.stdout.readexactly(LENGTH.size)
        answer: Answer = decode_answer(await child.stdout.readexactly(LENGTH.unpack(head)[0]))
        return answer

    @staticmethod
    async def _exit_reason(child: asyncio.subprocess.Process) -> str:
        """How the child ended, as the verb of a sentence."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                code = await child.wait()
        except TimeoutError:
            return "stopped answering"
        return f"crashed (signal {-code})" if code < 0 else f"ended (exit code {code})"

    async def _discard(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        # The kill is certain; waiting only reaps, so a cancelled caller need not stay for it.
        await asyncio.shield(asyncio.ensure_future(child.wait()))
