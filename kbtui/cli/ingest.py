"""`kbtui ingest`: files and folders into the knowledge base, without the app."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from dataclasses import replace

from kbtui.cli.common import policy_from, report, run_async, settings_from
from kbtui.cli.exits import CommandError, Exit, exit_for
from kbtui.cli.logs import set_up_logging
from kbtui.cli.reporters import JsonReporter, Reporter, TextReporter
from kbtui.client.engine import Engine
from kbtui.client.settings import Settings
from kbtui.connection import ConnectionEvent, ConnectionState, KbtuiConnectionError, StateChanged
from kbtui.ingest.discover import Discovery, discover
from kbtui.ingest.events import IngestEvent, JobChanged, JobProgressed
from kbtui.ingest.jobs import Job, JobState
from kbtui.ingest.journal import JournalError


def run(arguments: argparse.Namespace) -> int:
    """Ingest and return the exit code."""
    try:
        if arguments.name is not None and len(arguments.paths) != 1:
            raise CommandError(Exit.USAGE, "--name goes with one file")
        settings = replace(
            settings_from(arguments), domain=arguments.domain, policy=policy_from(arguments)
        )
        set_up_logging(
            verbose=arguments.verbose, log_file=arguments.log_file, folder=settings.paths.log
        )
        return run_async(_ingest(arguments, settings))
    except CommandError as error:
        return report(error)


async def _ingest(arguments: argparse.Namespace, settings: Settings) -> int:
    reporter = _reporter(arguments)
    found = await asyncio.to_thread(discover, arguments.paths)
    ingestion = Ingestion(Engine(settings, adopt_all=False), reporter)
    try:
        return await ingestion.run(
            found,
            name=arguments.name,
            ask=arguments.on_unknown == "ask" and reporter.interactive,
        )
    except JournalError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    finally:
        reporter.close()


def _reporter(arguments: argparse.Namespace) -> Reporter:
    if arguments.json:
        return JsonReporter(sys.stdout)
    if sys.stdout.isatty() and not arguments.quiet:
        # rich is imported only for a person who looks at a terminal.
        from kbtui.cli.progress import TerminalReporter

        return TerminalReporter()
    return TextReporter(sys.stdout, sys.stderr, quiet=arguments.quiet)


class Ingestion:
    """One run of the command: every event to the reporter, every end into the exit code."""

    def __init__(self, engine: Engine, reporter: Reporter) -> None:
        self._engine = engine
        self._reporter = reporter
        self._jobs: dict[str, Job] = {}
        self._refused: Counter[JobState] = Counter()
        self._given_up = asyncio.Event()

    async def run(self, found: Discovery, *, name: str | None, ask: bool) -> int:
        """Ingest what was found and report on it. Raises CommandError or JournalError."""
        began = time.monotonic()
        for refusal in found.refusals:
            state = JobState.FAILED if refusal.named else JobState.SKIPPED
            self._refused[state] += 1
            self._reporter.refused(refusal.path, state, refusal.reason)
        try:
            if found.files:
                await self._connect()
                await self._engine.add_files(found, name=name)
                await self._finish()
                if ask:
                    await self._ask_about_unknown()
        finally:
            await self._engine.aclose()
            self._note_leftovers()
            # However it ends, the summary is the last thing that is told.
            states = Counter(job.state for job in self._jobs.values()) + self._refused
            self._reporter.summary(states, time.monotonic() - began)
        timed_out = sum(job.timed_out for job in self._jobs.values())
        return int(exit_for(states, timed_out))

    async def _connect(self) -> None:
        self._engine.service.subscribe(self._on_connection)
        await self._engine.start()
        self._engine.queue.subscribe(self._on_ingest)
        try:
            await self._engine.service.connect()
        except KbtuiConnectionError as error:
            raise CommandError(
                Exit.NOT_CONNECTED, f"no connection to {self._engine.server_label}: {error}"
            ) from None

    async def _finish(self) -> None:
        """Wait until every document has ended, or the connection is given up for good."""
        waits = [
            asyncio.create_task(self._engine.queue.join(), name="all documents"),
            asyncio.create_task(self._given_up.wait(), name="connection given up"),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._given_up.is_set() and self._engine.unfinished:
            reason = self._engine.store.connection.reason or "the connection was lost"
            raise CommandError(Exit.NOT_CONNECTED, reason)

    async def _ask_about_unknown(self) -> None:
        unknown = [job for job in self._jobs.values() if job.state is JobState.UNKNOWN]
        if not unknown:
            return
        question = (
            f"{len(unknown)} of the documents were sent but their answers were lost. "
            "Send them again? This may store them twice. [y/N] "
        )
        if not await self._reporter.confirm(question):
            return
        for job in unknown:
            await self._engine.retry(job.job_id)
        await self._finish()

    def _note_leftovers(self) -> None:
        left = self._engine.unfinished
        if left:
            self._reporter.note(
                f"{left} documents are unfinished; the same command, or kbtui, continues them"
            )

    def _on_connection(self, event: ConnectionEvent) -> None:
        if isinstance(event, StateChanged):
            if event.state is ConnectionState.FAILED:
                self._given_up.set()
            self._reporter.connection(event)

    def _on_ingest(self, event: IngestEvent) -> None:
        # The store was subscribed first: its views already hold what this event says.
        match event:
            case JobChanged(job, _):
                self._jobs[job.job_id] = job
                self._reporter.job(job, self._engine.store.documents[job.job_id], changed=True)
            case JobProgressed(job_id, _, _) if job_id in self._jobs:
                view = self._engine.store.documents[job_id]
                self._reporter.job(self._jobs[job_id], view, changed=False)
            case _:
                pass
