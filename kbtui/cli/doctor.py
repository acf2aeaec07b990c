"""`kbtui doctor`: checks the way to the server step by step and says what to do."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from dataclasses import replace
from typing import Any, Final, Protocol, TextIO

from kbtui.cli.common import places_from, report, run_async, settings_from
from kbtui.cli.exits import CommandError, Exit
from kbtui.cli.logs import set_up_logging
from kbtui.cli.redaction import redact, shown
from kbtui.cli.serve import REQUIRED
from kbtui.client.doctor import Check, Examination, Status, System
from kbtui.client.settings import Settings

GLYPHS: Final = {Status.PASS: "✓", Status.WARN: "!", Status.FAIL: "✗", Status.SKIP: "-"}
ASCII_GLYPHS: Final = {**GLYPHS, Status.PASS: "+", Status.FAIL: "x"}
COLOURS: Final = {Status.PASS: "32", Status.WARN: "33", Status.FAIL: "31", Status.SKIP: "2"}

NAME_WIDTH: Final = 9


def run(arguments: argparse.Namespace) -> int:
    """Examine and return the exit code."""
    try:
        settings = replace(settings_from(arguments), policy=places_from(arguments))
        set_up_logging(verbose=arguments.verbose, log_file=arguments.log_file)
        return run_async(_examine(arguments, settings))
    except CommandError as error:
        return report(error)


async def _examine(arguments: argparse.Namespace, settings: Settings) -> int:
    printer: _Printer = (
        _JsonPrinter(sys.stdout)
        if arguments.json
        else _TextPrinter(sys.stdout, quiet=arguments.quiet)
    )
    counts: Counter[Status] = Counter()
    async for check in Examination(settings, System(), arguments.paths, REQUIRED).run():
        counts[check.finding.status] += 1
        printer.check(check)
    printer.summary(counts)
    return int(Exit.NOT_CONNECTED if counts[Status.FAIL] else Exit.DONE)


class _Printer(Protocol):
    def check(self, check: Check) -> None: ...

    def summary(self, counts: Counter[Status]) -> None: ...


class _JsonPrinter:
    """One object a check, and the counts in the last one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def check(self, check: Check) -> None:
        self._print(
            event="check",
            name=check.name,
            status=check.finding.status,
            detail=redact(check.finding.detail),
            next_step=redact(check.finding.next_step),
            seconds=round(check.seconds, 3),
        )

    def summary(self, counts: Counter[Status]) -> None:
        self._print(
            event="summary",
            passed=counts[Status.PASS],
            warned=counts[Status.WARN],
            failed=counts[Status.FAIL],
        )

    def _print(self, **fields: Any) -> None:
        print(json.dumps(fields), file=self._stream, flush=True)


class _TextPrinter:
    """An aligned line a check, what to do below it; coloured on a terminal."""

    def __init__(self, stream: TextIO, *, quiet: bool) -> None:
        self._stream = stream
        self._quiet = quiet
        self._coloured = stream.isatty() and not {"NO_COLOR"} & os.environ.keys()
        self._coloured = self._coloured and os.environ.get("TERM") != "dumb"
        self._glyphs = GLYPHS if _can_show(stream, "".join(GLYPHS.values())) else ASCII_GLYPHS

    def check(self, check: Check) -> None:
        finding = check.finding
        if self._quiet and finding.status in (Status.PASS, Status.SKIP):
            return
        mark = f"{self._glyphs[finding.status]} {finding.status:<4}"
        self._print(f"{self._styled(mark, finding.status)}  {check.name:<{NAME_WIDTH}}  ", finding)

    def summary(self, counts: Counter[Status]) -> None:
        if not self._quiet:
            texts = (f"{counts[Status.PASS]} passed", f"{counts[Status.WARN]} warned")
            self._write(f"{', '.join(texts)}, {counts[Status.FAIL]} failed")

    def _print(self, start: str, finding: Any) -> None:
        self._write(start + shown(finding.detail))
        if finding.next_step:
            self._write(f"{'':<{NAME_WIDTH + 10}}next: {shown(finding.next_step)}")

    def _write(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def _styled(self, text: str, status: Status) -> str:
        return f"\x1b[{COLOURS[status]}m{text}\x1b[0m" if self._coloured else text


def _can_show(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
