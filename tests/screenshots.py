"""Makes `screenshots/`: the app in real runs on real documents. `python -m tests.screenshots`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from kbtui.client.engine import Engine
from kbtui.client.settings import Settings
from kbtui.connection import ConnectionState
from kbtui.ingest.jobs import JobState
from kbtui.paths import Paths
from kbtui.tui.app import KbApp
from kbtui.tui.glyphs import Glyphs
from tests.make_data import corrupt_pdf, encrypted_pdf, mixed_folder
from tests.processes import own_home, server_pid

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "screenshots"
DATA = ROOT / "tests" / "data"
PATIENCE = 120.0


@dataclass
class Show:
    """The app at work on a folder, and the means to take its picture."""

    engine: Engine
    app: KbApp
    pilot: Pilot[None]
    home: Path

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the app work until something is so."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await self.pilot.pause(0.01)

    async def press(self, *keys: str) -> None:
        """Keys, and time to draw what they bring."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    def done(self) -> int:
        """Documents that have been stored."""
        return self.engine.store.totals[JobState.COMPLETED]

    async def take(self, name: str) -> None:
        """Write the picture `screenshots/NAME.svg`."""
        await self.pilot.pause(0.2)
        svg = self.app.export_screenshot(title="kbtui")
        (TARGET / f"{name}.svg").write_text(svg, encoding="utf-8")
        print(f"screenshots/{name}.svg")


@asynccontextmanager
async def show(home: Path, size: tuple[int, int]) -> AsyncIterator[Show]:
    """The app with the embedded server, as `kbtui` would run it."""
    settings = Settings(Paths(home / "data", home / "state", home / "log"))
    engine = Engine(settings, adopt_all=True)
    app = KbApp(engine, glyphs=Glyphs(ascii=False))
    async with app.run_test(size=size) as pilot:
        await engine.start()
        try:
            yield Show(engine, app, pilot, home)
        finally:
            await engine.aclose()


def documents(folder: Path) -> Path:
    """A folder as people have them: many reports, and some that cannot be read."""
    folder.mkdir()
    mixed_folder(folder, 36, seed=7)
    encrypted_pdf(folder / "board-minutes-2024.pdf")
    corrupt_pdf(folder / "invoice-scan.pdf")
    for path in DATA.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


async def main_pictures(home: Path, folder: Path) -> None:
    """Busy, reconnecting, done, adding, searching, help."""
    async with show(home, (120, 40)) as at:
        await at.engine.add([folder])
        await at.until(lambda: at.done() >= 12)
        await at.take("main")
        pid = server_pid(at.home)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        lost = (ConnectionState.RECONNECTING, ConnectionState.CONNECTING)
        await at.until(lambda: at.engine.store.connection.state in lost)
        await at.take("reconnecting")
        await at.until(lambda: at.engine.unfinished == 0)
        await at.take("done")
        await at.press("a", *"documents/")
        await at.take("add")
        await at.press("escape", "escape", "s", *"how do bees survive the winter", "enter")
        await at.pilot.pause(1.0)
        await at.take("search")
        await at.press("escape", "escape", "question_mark")
        await at.take("help")


async def narrow_pictures(home: Path, folder: Path) -> None:
    """The small terminals."""
    async with show(home, (80, 24)) as at:
        await at.engine.add([folder])
        await at.until(lambda: at.done() >= 8)
        await at.take("main-80x24")
    async with show(home, (40, 15)) as at:
        await at.until(lambda: at.done() >= 4)
        await at.take("main-40x15")


async def main() -> None:
    """All pictures, each from a run of its own making."""
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kbtui-") as temporary:
        base = Path(temporary)
        os.chdir(base)
        folder = documents(base / "documents")
        with own_home(base / "main") as home:
            os.environ["KBTUI_HOME"] = str(home)
            await main_pictures(home, folder)
        with own_home(base / "narrow") as home:
            os.environ["KBTUI_HOME"] = str(home)
            await narrow_pictures(home, folder)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
