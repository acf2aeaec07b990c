"""The log: JSON lines in a rotating file that processes share, plain lines on stderr."""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from kbtui.cli.exits import CommandError, Exit
from kbtui.cli.redaction import redact
from kbtui.state.text import plain

LOG_FILE: Final = "kbtui.log"
LOG_BYTES: Final = 5_000_000
"""Where a log file is full and the next one begins."""

OLDER_LOGS: Final = 2
"""Full files that are kept, as NAME.1 (the newer) and NAME.2: with NAME itself 15 MB at most."""

MOST_FIELD: Final = 10_000
"""Characters of one text in a record; foreign messages have no limit of their own."""

_STANDARD: Final = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "exc_text"}
)


def set_up_logging(
    *,
    verbose: bool,
    log_file: Path | None,
    folder: Path | None = None,
    stderr: bool = True,
) -> None:
    """Log into `log_file`, else into `folder` where one is given; with `stderr` also there.

    `verbose` logs DEBUG too, and tells every step on stderr; without it stderr gets what broke
    inside kbtui only. An app that owns the terminal has no `stderr`. Raises CommandError where
    `log_file` cannot be written; where `folder` cannot be, that is a warning on stderr.
    """
    handlers: list[logging.Handler] = []
    if log_file is not None or folder is not None:
        path = log_file or (folder or Path()) / LOG_FILE
        try:
            if log_file is None:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handlers.append(JsonLogFile(path))
        except OSError as error:
            sentence = f"cannot write the log file {path}: {error.strerror}"
            if log_file is not None:
                raise CommandError(Exit.USAGE, sentence) from None
            print(f"kbtui: warning: {plain(sentence)}; going on without", file=sys.stderr)
    if stderr:
        handlers.append(StderrLog(logging.DEBUG if verbose else logging.ERROR))
    _install(handlers, logging.DEBUG if verbose else logging.INFO)
    # A warning of a library's would be printed on the app's terminal.
    logging.captureWarnings(capture=not stderr)


def _install(handlers: list[logging.Handler], level: int) -> None:
    # On the root, so that nothing (asyncio's complaints, say) is printed behind an app's back.
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _OURS)]:
        root.removeHandler(old)
        old.close()
    for handler in handlers or [_Nowhere()]:
        handler.addFilter(Redaction())
        root.addHandler(handler)
    logging.getLogger("kbtui").setLevel(level)


class Redaction(logging.Filter):
    """Takes secrets out of a record, whatever is made of it afterwards."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record in place; lets every record pass."""
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - a record that cannot be made is told, not raised
            message = f"{record.msg!r} could not be formatted: {error!r}"
        record.msg, record.args = redact(message), None
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(_FORMATTER.formatException(record.exc_info))
        record.exc_info = None
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        for name in record.__dict__.keys() - _STANDARD:
            record.__dict__[name] = _redacted(record.__dict__[name])
        return True


class JsonLogFile(logging.Handler):
    """One JSON object a line: time, level, logger, message, process, and the record's own fields.

    Any number of processes may write the same file. Each record is one `write` in append mode, so
    lines never mix; a process that finds the file renamed or deleted opens it anew; one of them at
    a time renames, under the file's lock (flock). Nothing is raised or printed where the disk is
    full: the records that were lost are counted in the next one that can be written.
    """

    def __init__(self, path: Path, *, most_bytes: int = LOG_BYTES) -> None:
        """Open or create the file, readable by its owner only. Raises OSError."""
        super().__init__()
        self._path = path.absolute()
        self._most_bytes = most_bytes
        self._lost = 0
        self._torn = False
        self._descriptor = self._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; never raises."""
        try:
            line = self._line(record)
            descriptor = self._current(len(line))
            written = os.write(descriptor, line)
        except Exception:  # noqa: BLE001 - a log must not break what it tells of
            self._lost += 1
            return
        self._torn = written < len(line)
        self._lost = 1 if self._torn else 0

    def close(self) -> None:
        """Close the file."""
        self.acquire()
        try:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
        finally:
            self.release()
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _bounded(record.getMessage()),
            "process": record.process,
        }
        fields = {name: record.__dict__[name] for name in record.__dict__.keys() - _STANDARD}
        entry |= {name: _bounded(value) for name, value in sorted(fields.items())}
        if record.exc_text:
            entry["exception"] = _bounded(record.exc_text)
        if record.stack_info:
            entry["stack"] = _bounded(record.stack_info)
        if self._lost:
            entry["lost_before"] = self._lost
        # ASCII only, and DEL is no printable character either: nothing in it moves a terminal.
        text = json.dumps(entry, default=str).replace("\x7f", "\\u007f")
        start = "\n" if self._torn else ""
        return f"{start}{text}\n".encode("ascii")

    def _current(self, more: int) -> int:
        """The descriptor of the file that bears the name, with room for `more` bytes."""
        named = _stat(self._path)
        opened = os.fstat(self._descriptor)
        if named is None or not os.path.samestat(named, opened):
            self._reopen()
            opened = os.fstat(self._descriptor)
        full = opened.st_size and opened.st_size + more > self._most_bytes
        if full and stat.S_ISREG(opened.st_mode):
            self._rotate()
        return self._descriptor

    def _rotate(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # another process is at it: this record still goes into the full file
        try:
            named = _stat(self._path)
            if named is not None and os.path.samestat(named, os.fstat(self._descriptor)):
                for number in range(OLDER_LOGS, 0, -1):
                    newer = self._older(number - 1)
                    if newer.exists():
                        newer.replace(self._older(number))
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._reopen()

    def _older(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def _reopen(self) -> None:
        fresh = self._open()
        os.close(self._descriptor)
        self._descriptor = fresh


class StderrLog(logging.Handler):
    """Plain lines for a person on whatever is `sys.stderr` at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record; never raises."""
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        name = record.name.removeprefix("kbtui.")
        lines = [f"{at} {record.levelname.lower():<7} {name}: {plain(record.getMessage())}"]
        if record.exc_text:
            lines += [f"    {plain(line)}" for line in record.exc_text.splitlines()]
        try:
            sys.stderr.write("\n".join(lines) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            return  # nobody reads stderr any more


class _Nowhere(logging.NullHandler):
    """Ours, and without effect: with no handler at all, logging prints on stderr."""


_OURS: Final = (JsonLogFile, StderrLog, _Nowhere)
_FORMATTER: Final = logging.Formatter()


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _redacted(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple):
        return [_redacted(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _redacted(each) for key, each in value.items()}
    return redact(str(value))


def _bounded(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MOST_FIELD:
        return value[:MOST_FIELD] + "…"
    return value
