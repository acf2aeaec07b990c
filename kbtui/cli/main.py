"""The `kbtui` command: reads the arguments, then loads and runs the command that is meant."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from kbtui.cli.parser import COMMANDS, app_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run kbtui with `argv` (without the program's name) and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments.pop(0) if arguments and arguments[0] in COMMANDS else "app"
    # The arguments are read before anything else is imported: --help and --version are instant.
    parsed = COMMANDS.get(command, app_parser)().parse_intermixed_args(arguments)
    try:
        code: int = import_module(f"kbtui.cli.{command}").run(parsed)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code
