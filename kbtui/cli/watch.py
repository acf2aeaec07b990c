"""`kbtui watch`: folders whose documents are ingested as they come, in the app or as a service."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import replace

from kbtui.cli.app import check_terminal
from kbtui.cli.common import policy_from, report, run_async, settings_from
from kbtui.cli.exits import CommandError, Exit
from kbtui.cli.logs import set_up_logging
from kbtui.cli.reporters import JsonReporter, Reporter, TextReporter
from kbtui.client.engine import Engine
from kbtui.client.settings import Settings
from kbtui.client.watching import Tell
from kbtui.connection import ConnectionEvent, ConnectionState, StateChanged
from kbtui.ingest.events import IngestEvent, JobChanged, JobProgressed
from kbtui.ingest.jobs import ENDED, Job
from kbtui.ingest.journal import JournalError
from kbtui.state.text import plain
from kbtui.watch import RootBusy, WatchError, WatchPolicy


def run(arguments: argparse.Namespace) -> int:
    """Watch until a person quits or a signal comes; returns the exit code."""
    try:
        settings = replace(
            settings_from(arguments), domain=arguments.domain, policy=policy_from(arguments)
        )
        if arguments.headless:
            _log(arguments, settings, stderr=True)
            return run_async(_serve(arguments, settings))
        if arguments.json:
            raise CommandError(Exit.USAGE, "--json goes with --headless")
        check_terminal(instead="kbtui watch --headless")
        _log(arguments, settings, stderr=False)
        return asyncio.run(_show(arguments, settings))
    except CommandError as error:
        return report(error)


def _log(arguments: argparse.Namespace, settings: Settings, *, stderr: bool) -> None:
    set_up_logging(
        verbose=arguments.verbose,
        log_file=arguments.log_file,
        folder=settings.paths.log,
        stderr=stderr,
    )


async def _show(arguments: argparse.Namespace, settings: Settings) -> int:
    from kbtui.tui.run import TuiOptions, run_tui

    engine = await _watching(arguments, settings, None)
    return await run_tui(engine, [], options=TuiOptions(ascii=arguments.ascii))


async def _serve(arguments: argparse.Namespace, settings: Settings) -> int:
    reporter: Reporter = (
        JsonReporter(sys.stdout)
        if arguments.json
        else TextReporter(sys.stdout, sys.stderr, quiet=arguments.quiet)
    )

    def tell(level: str, text: str) -> None:
        if level == "warning" or not arguments.quiet:
            print(plain(text), file=sys.stderr, flush=True)

    engine = await _watching(arguments, settings, tell)
    began = time.monotonic()
    try:
        await _Service(engine, reporter).run()
    finally:
        await engine.aclose()
        reporter.summary(engine.store.totals, time.monotonic() - began)
        left = sum(count for state, count in engine.store.totals.items() if state not in ENDED)
        if left:
            tell("info", f"{left} documents are unfinished; the next start continues them")
    return int(Exit.DONE)


async def _watching(arguments: argparse.Namespace, settings: Settings, tell: Tell | None) -> Engine:
    """An engine that will watch the folders. Raises CommandError where they cannot be watched."""
    engine = Engine(settings, adopt_all=True)
    try:
        await engine.watch(arguments.roots, WatchPolicy(settle=arguments.settle), tell)
    except WatchError as error:
        await engine.aclose()
        code = Exit.REFUSED if isinstance(error, RootBusy) else Exit.USAGE
        raise CommandError(code, str(error)) from None
    return engine


class _Service:
    """A run without the app: tells the reporter everything, waits for a server that is down."""

    def __init__(self, engine: Engine, reporter: Reporter) -> None:
        self._engine = engine
        self._reporter = reporter
        self._active: dict[str, Job] = {}
        self._given_up: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Until cancelled. Raises CommandError where trying to connect is of no use."""
        self._engine.service.subscribe(self._on_connection)
        try:
            await self._engine.start()
        except JournalError as error:
            raise CommandError(Exit.USAGE, str(error)) from None
        self._engine.queue.subscribe(self._on_ingest)
        raise CommandError(Exit.NOT_CONNECTED, await self._given_up)

    def _on_connection(self, event: ConnectionEvent) -> None:
        if not isinstance(event, StateChanged):
            return
        self._reporter.connection(event)
        if event.state is ConnectionState.FAILED and not self._given_up.done():
            why = event.reason or "no reason known"
            self._given_up.set_result(f"no connection to {self._engine.server_label}: {why}")

    def _on_ingest(self, event: IngestEvent) -> None:
        # The store was subscribed first: its views already hold what this event says.
        match event:
            case JobChanged(job, _):
                self._active[job.job_id] = job
                self._tell(job, changed=True)
                if job.state in ENDED:
                    del self._active[job.job_id]
            case JobProgressed(job_id, _, _) if job_id in self._active:
                self._tell(self._active[job_id], changed=False)
            case _:
                pass

    def _tell(self, job: Job, *, changed: bool) -> None:
        self._reporter.job(job, self._engine.store.documents[job.job_id], changed=changed)
