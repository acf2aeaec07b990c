"""The threads that embed: documents' windows in small batches, fairly between documents."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_THREADS: Final = 2
_BATCH: Final = 2
"""Texts that a thread takes at once; they run one by one, so more would only report less often."""

_LANES: Final = 4
"""Batches that one document has in the queue: enough to keep the threads busy, few enough that
the next document does not wait for all of this one."""


def _load() -> None:
    from kbtui.server.embedding.embedder import load

    load()


def _embed(texts: Sequence[str]) -> list[bytes]:
    from kbtui.server.embedding.embedder import embed

    return [row.tobytes() for row in embed(texts)]


class EmbeddingPool:
    """Embeds on threads of its own; onnxruntime releases the GIL."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="embed")

    async def load(self) -> None:
        """Loads the model, once.

        Raises:
            KnowledgeBaseError: its files are not the pinned ones.
        """
        await asyncio.get_running_loop().run_in_executor(self._executor, _load)

    async def embed(
        self, texts: Sequence[str], progress: Callable[[int, int], None]
    ) -> list[bytes]:
        """The vectors of the texts in their order, float32 blobs; `progress` gets texts done and
        texts in all."""
        loop = asyncio.get_running_loop()
        starts = iter(range(0, len(texts), _BATCH))
        vectors = [b""] * len(texts)
        done = 0

        async def lane() -> None:
            nonlocal done
            for start in starts:
                made = await loop.run_in_executor(
                    self._executor, _embed, texts[start : start + _BATCH]
                )
                vectors[start : start + len(made)] = made
                done += len(made)
                progress(done, len(texts))

        async with asyncio.TaskGroup() as group:
            for _ in range(_LANES):
                group.create_task(lane(), name="embed lane")
        return vectors

    async def aclose(self) -> None:
        """Waits for the batches that run, drops the rest."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
