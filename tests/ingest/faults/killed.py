"""A kbtui that ingests one document and kills itself at a given step of the journal.

`python -m tests.ingest.faults.killed STATE URL DOCUMENT STEP before|after`
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from kbtui.ingest.journal import Journal
from tests.ingest.test_queue import running


def kill_at(step: int, when: str) -> None:
    """Have the journal's write number `step`, counted from 1, be the last thing that happens."""
    done = 0

    def dying(write: Any) -> Any:
        async def wrapped(*arguments: Any) -> None:
            nonlocal done
            done += 1
            if done == step and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            await write(*arguments)
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)

        return wrapped

    Journal.add = dying(Journal.add)  # type: ignore[method-assign]
    Journal.update = dying(Journal.update)  # type: ignore[method-assign]


async def main(state: str, url: str, document: str, step: str, when: str) -> None:
    kill_at(int(step), when)
    async with running(Path(state), url) as run:
        await run.queue.add([Path(document)])
        await run.finish()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
