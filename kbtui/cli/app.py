"""`kbtui [PATH...]`: the app on a terminal."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import replace

from kbtui.cli.common import policy_from, report, settings_from
from kbtui.cli.exits import CommandError, Exit
from kbtui.cli.logs import set_up_logging


def run(arguments: argparse.Namespace) -> int:
    """Run the app and return its exit code."""
    try:
        check_terminal(instead="kbtui ingest")
        missing = next((path for path in arguments.paths if not path.exists()), None)
        if missing is not None:
            raise CommandError(
                Exit.USAGE, f"there is no file or folder, and no command, named {str(missing)!r}"
            )
        settings = replace(
            settings_from(arguments), domain=arguments.domain, policy=policy_from(arguments)
        )
        set_up_logging(
            verbose=arguments.verbose,
            log_file=arguments.log_file,
            folder=settings.paths.log,
            stderr=False,
        )
    except CommandError as error:
        return report(error)
    from kbtui.client.engine import Engine
    from kbtui.tui.run import TuiOptions, run_tui

    async def app() -> int:
        engine = Engine(settings, adopt_all=True)
        return await run_tui(engine, arguments.paths, options=TuiOptions(ascii=arguments.ascii))

    return asyncio.run(app())


def check_terminal(*, instead: str) -> None:
    """Raise CommandError where the app has no terminal; `instead` is what works without one."""
    # Textual draws on stderr.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise CommandError(
            Exit.USAGE, f"the app needs a terminal, on stderr too; `{instead}` works without one"
        )
