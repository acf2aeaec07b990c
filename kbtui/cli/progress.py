"""The progress display of `kbtui ingest` on a terminal."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TimeElapsedColumn,
)
from rich.text import Text

from kbtui.cli.reporters import (
    connection_line,
    job_line,
    refusal_line,
    stage_text,
    summary_line,
)
from kbtui.connection import ConnectionState, StateChanged
from kbtui.ingest.jobs import ENDED, SENT, Job, JobState
from kbtui.state.text import plain
from kbtui.state.views import DocumentView

STYLES: Final = {
    JobState.COMPLETED: "green",
    JobState.FAILED: "bold red",
    JobState.UNKNOWN: "bold yellow",
    JobState.SKIPPED: "dim",
    JobState.CANCELLED: "dim",
    JobState.INTERRUPTED: "yellow",
}
NAME_WIDTH: Final = 32


class PlainColumn(ProgressColumn):
    """A field of a task as plain text: names come from outside and are never markup."""

    def __init__(self, field: str) -> None:
        super().__init__()
        self._field = field

    def render(self, task: Task) -> Text:
        """The field as it is."""
        return Text(str(task.fields.get(self._field, "")), no_wrap=True, overflow="ellipsis")


class TerminalReporter:
    """A line above for each document that has ended, bars below for those that run."""

    interactive = True

    def __init__(self) -> None:
        self._console = Console(file=sys.stdout, highlight=False, emoji=False)
        self._progress = Progress(
            PlainColumn("what"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            PlainColumn("stage"),
            console=self._console,
            transient=True,
        )
        self._progress.start()
        self._overall = self._progress.add_task("", what="documents", total=0)
        self._bars: dict[str, TaskID] = {}
        self._known: set[str] = set()

    def connection(self, event: StateChanged) -> None:
        """Shown where it is worth a line."""
        line = connection_line(event)
        if line:
            failed = event.state is ConnectionState.FAILED
            self._say(line, "bold red" if failed else "dim")

    def job(self, job: Job, view: DocumentView, *, changed: bool) -> None:
        """Move the document's bar; at its end print its line."""
        if job.job_id not in self._known:
            self._known.add(job.job_id)
            self._progress.update(self._overall, total=len(self._known))
        if job.state in SENT:
            self._move(job, view)
        elif (bar := self._bars.pop(job.job_id, None)) is not None:
            self._progress.remove_task(bar)
        if changed and (job.state in ENDED or job.state is JobState.INTERRUPTED):
            self._say(job_line(job), STYLES.get(job.state, ""))
        if changed and job.state in ENDED:
            self._progress.advance(self._overall)

    def refused(self, path: Path, state: JobState, reason: str) -> None:
        """A line with the reason."""
        self._say(refusal_line(path, state, reason), STYLES[state])

    def note(self, text: str) -> None:
        """A sentence."""
        self._say(text, "yellow")

    async def confirm(self, question: str) -> bool:
        """Ask on the terminal; anything but a yes is a no."""
        self._progress.stop()
        self._console.print(Text(question, style="bold yellow"), end="")
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin, lambda: answered.set_result(sys.stdin.readline()))
        try:
            answer = await answered
        finally:
            loop.remove_reader(sys.stdin)
        self._progress.start()
        return answer.strip().lower() in ("y", "yes")

    def summary(self, states: Counter[JobState], seconds: float) -> None:
        """The counts on one line."""
        self._progress.stop()
        bad = states[JobState.FAILED] or states[JobState.UNKNOWN]
        self._say(summary_line(states, seconds), "bold yellow" if bad else "bold green")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()

    def _move(self, job: Job, view: DocumentView) -> None:
        name = plain(job.name, NAME_WIDTH)
        if job.job_id not in self._bars:
            self._bars[job.job_id] = self._progress.add_task("", what=name, total=100)
        self._progress.update(
            self._bars[job.job_id], completed=int(view.fraction * 100), stage=stage_text(view)
        )

    def _say(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style))
