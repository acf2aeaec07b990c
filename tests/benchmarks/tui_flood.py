"""What the app costs: idle, with clocks only, and under a flood, in a real drained terminal.

    python -m tests.benchmarks.tui_flood [--seconds 5] [--rate 5000] [--documents 1000]

CPU is the process's time over wall time. Lag is how much later than asked a 5 ms sleep in the
app's own event loop ends.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import pty
import resource
import select
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from kbtui.ingest.events import Attribution, JobProgressed
from kbtui.ingest.jobs import JobState
from kbtui.protocol.messages import Progress
from kbtui.tui import run
from kbtui.tui.app import KbApp
from kbtui.tui.main_screen import MainScreen
from tests.tui.scripted import Clock, ScriptedBackend

ROOT = Path(__file__).parents[2]
CASES = ("store only", "idle", "clocks", "flood", "flood with log", "churn")
SLICE = 0.02


class RealClock(Clock):
    def __call__(self) -> float:
        return time.time()


@dataclass
class Flood:
    """Feeds events at a rate and measures what that costs."""

    case: str
    rate: int
    documents: int
    seconds: float
    backend: ScriptedBackend = field(default_factory=lambda: ScriptedBackend(RealClock()))
    lags: list[float] = field(default_factory=list)
    sent: int = 0

    def prepare(self) -> None:
        self.backend.connect()
        for number in range(self.documents):
            self.backend.job(f"j{number}", f"paper-{number:05}.pdf", size=1_000_000 + number)
        running = {"idle": 0, "clocks": 3}.get(self.case, self.documents)
        for number in range(running):
            self.backend.to(f"j{number}", JobState.SUBMITTING, JobState.RUNNING)

    def _event(self) -> None:
        number = self.sent % self.documents
        turn = self.sent // self.documents
        if self.case == "churn" and self.sent % 50 == 0:
            self._end_one(number)
        else:
            count = {} if self.case == "flood with log" else {"current": turn % 500, "total": 500}
            progress = Progress(stage=3, status="started", message=f"chunk {turn}", **count)
            self.backend.store.apply(JobProgressed(f"j{number}", progress, Attribution.EXACT))
        self.sent += 1

    def _end_one(self, number: int) -> None:
        job_id = f"j{number}"
        if self.backend.jobs[job_id].state is JobState.RUNNING:
            self.backend.to(job_id, JobState.FAILED, error="churn")
        else:
            self.backend.to(job_id, JobState.QUEUED, JobState.SUBMITTING, JobState.RUNNING)

    async def _feed(self, until: float) -> None:
        start = time.monotonic()
        while (now := time.monotonic()) < until:
            due = int((now - start) * self.rate)
            while self.sent < due:
                self._event()
            await asyncio.sleep(SLICE)

    async def _watch_lag(self, until: float) -> None:
        while (before := time.monotonic()) < until:
            await asyncio.sleep(0.005)
            self.lags.append(time.monotonic() - before - 0.005)

    async def measure(self) -> dict[str, float]:
        await asyncio.sleep(1.0)
        cpu, wall = time.process_time(), time.monotonic()
        until = wall + self.seconds
        feeding = self.case not in ("idle", "clocks")
        # Where nothing is fed nothing of ours may run either: the lag's watch would be the load.
        if feeding:
            await asyncio.gather(self._feed(until), self._watch_lag(until))
        else:
            await asyncio.sleep(self.seconds)
        lags = sorted(self.lags) or [0.0]
        return {
            "cpu": (time.process_time() - cpu) / (time.monotonic() - wall),
            "lag": lags[int(len(lags) * 0.99) - 1] if feeding else 0.0,
            "sent": self.sent,
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


async def child(flood: Flood, result: Path) -> None:
    """The measured process."""
    flood.prepare()
    if flood.case == "store only":
        flood.backend.store.wake = None
        result.write_text(json.dumps(await flood.measure()))
        return
    app: KbApp | None = None

    async def start() -> None:
        measured = await flood.measure()
        assert app is not None
        main = app.screen_stack[0]
        assert isinstance(main, MainScreen)
        measured["flushes"] = main.flushes
        measured["lines"] = main.table.lines_drawn + main.log_view.lines_drawn
        result.write_text(json.dumps(measured))
        app.exit()

    class Measured(KbApp):
        def __init__(self, *args: object, **kwargs: object) -> None:
            nonlocal app
            super().__init__(*args, **kwargs)  # type: ignore[arg-type]
            app = self

    run.KbApp = Measured  # type: ignore[misc]
    flood.backend.start = start  # type: ignore[method-assign]
    await run.run_tui(flood.backend, [])


def measure(case: str, options: argparse.Namespace) -> tuple[dict[str, float], int]:
    """Run one case in a terminal of 120x40 and drain it; the figures and the bytes written."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    written = 0
    with TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        arguments = ["--rate", options.rate, "--documents", options.documents]
        arguments += ["--seconds", options.seconds, "--case", case, "--result", result]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.tui_flood", *map(str, arguments)],
            stdin=slave, stdout=slave, stderr=slave, cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        )  # fmt: skip
        while process.poll() is None:
            ready, _, _ = select.select([master], [], [], 0.1)
            if ready:
                written += len(os.read(master, 1 << 16))
        os.close(slave)
        os.close(master)
        return json.loads(result.read_text()), written


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=int, default=5000, help="events a second")
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--case", choices=CASES, help="only this one")
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.result:
        flood = Flood(options.case, options.rate, options.documents, options.seconds)
        asyncio.run(child(flood, options.result))
        return
    print(f"{options.documents} documents, {options.rate} events/s, {options.seconds:g} s each")
    print(f"{'case':16}{'CPU':>8}{'lag p99':>10}{'events':>9}{'flushes':>9}{'lines':>8}"
          f"{'output':>10}{'memory':>9}")  # fmt: skip
    for case in [options.case] if options.case else CASES:
        figures, written = measure(case, options)
        print(
            f"{case:16}{figures['cpu']:8.1%}{figures['lag'] * 1000:7.1f} ms"
            f"{figures['sent']:9.0f}{figures.get('flushes', 0):9.0f}{figures.get('lines', 0):8.0f}"
            f"{written / 1000:7.0f} kB{figures['memory']:6.0f} MB"
        )


if __name__ == "__main__":
    main()
