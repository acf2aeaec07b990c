"""The `kbtui` command: finds the command that is meant and runs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run kbtui with `argv` (without the program's name) and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = _COMMANDS.get(arguments[0]) if arguments else None
    try:
        if command is not None:
            return command(arguments[1:])
        return _app(arguments)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _app(arguments: list[str]) -> int:
    from kbtui.cli.app import run

    return run(arguments)


def _ingest(arguments: list[str]) -> int:
    from kbtui.cli.ingest import run

    return run(arguments)


def _search(arguments: list[str]) -> int:
    from kbtui.cli.search import run

    return run(arguments)


def _serve(arguments: list[str]) -> int:
    from kbtui.cli.serve import run

    return run(arguments)


def _info(arguments: list[str]) -> int:
    from kbtui.cli.info import run

    return run(arguments)


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "ingest": _ingest,
    "search": _search,
    "serve": _serve,
    "info": _info,
}
