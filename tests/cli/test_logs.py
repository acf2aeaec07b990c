"""The log: what is in it, what is not, and that processes can share it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbtui.cli import logs
from kbtui.cli.logs import JsonLogFile, Redaction
from kbtui.cli.redaction import redact
from tests.processes import environment, run_kbtui, wait_until
from tests.terminal import Terminal


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger that only the test's handlers hear."""
    logger = logging.getLogger("kbtui.test")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def attach(logger: logging.Logger, path: Path, **options: Any) -> JsonLogFile:
    handler = JsonLogFile(path, **options)
    handler.addFilter(Redaction())
    logger.addHandler(handler)
    return handler


# What a run writes.


def test_an_ingestion_is_logged_by_default(home: Path, documents: Path) -> None:
    done = run_kbtui("ingest", documents / "tea.md", home=home)
    assert done.returncode == 0, done.stderr
    entries = written(home / "log" / logs.LOG_FILE)
    assert {"time", "level", "logger", "message", "process"} <= set(entries[0])
    assert all(entry["level"] in ("info", "warning") for entry in entries)
    jobs = [entry for entry in entries if "job_id" in entry]
    assert [entry["state"] for entry in jobs] == ["queued", "submitting", "running", "completed"]
    assert all(entry["path"] == str(documents / "tea.md") for entry in jobs)
    assert any("-> connected" in entry["message"] for entry in entries)
    assert (home / "log" / logs.LOG_FILE).stat().st_mode & 0o777 == 0o600
    assert " info " not in done.stderr


def test_verbose_explains_each_step_on_stderr(home: Path, documents: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.log"
    done = run_kbtui("ingest", documents / "tea.md", "--json", "-v", "--log-file", file, home=home)
    assert done.returncode == 0
    for step in ("-> connected", "new -> queued", "progress: ", "running -> completed"):
        assert step in done.stderr, step
    assert all(json.loads(line) for line in done.stdout.splitlines())
    assert {"debug", "info"} == {entry["level"] for entry in written(file)}
    assert not (home / "log" / logs.LOG_FILE).exists()


def test_a_log_folder_that_cannot_be_written_is_a_warning(home: Path, documents: Path) -> None:
    (home / "log").write_text("a file where the folder should be")
    done = run_kbtui("ingest", documents / "tea.md", home=home)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].startswith("kbtui: warning: cannot write the log file")


def test_a_log_file_that_is_asked_for_must_be_writable(home: Path, documents: Path) -> None:
    wrong = home / "no" / "such" / "folder.log"
    done = run_kbtui("ingest", documents / "tea.md", "--log-file", wrong, home=home)
    assert done.returncode == 2
    assert "cannot write the log file" in done.stderr


def test_the_app_logs_into_its_file_and_not_onto_its_terminal(home: Path, documents: Path) -> None:
    file = home / "log" / logs.LOG_FILE
    with Terminal(documents / "tea.md", "-v", home=home) as app:
        done = "running -> completed"
        wait_until(lambda: app.drain(0.01) and file.exists() and done in file.read_text(), done)
        app.press("q")
        assert app.wait() == 0
        assert "kbtui.connection" not in app.text
        assert done not in app.text
    assert {"debug", "info"} <= {entry["level"] for entry in written(file)}


# The file.


@given(message=st.text(), field=st.text(), level=st.sampled_from([10, 20, 30, 40]))
def test_a_record_is_one_ascii_line_and_comes_back_whole(
    tmp_path_factory: pytest.TempPathFactory, message: str, field: str, level: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "a.log"
    handler = JsonLogFile(path)
    handler.addFilter(Redaction())
    fields = {"msg": message, "levelno": level, "field": field}
    handler.handle(logging.makeLogRecord(fields))
    handler.close()
    raw = path.read_bytes()
    assert raw.endswith(b"\n")
    assert all(0x20 <= byte < 0x7F for byte in raw[:-1])
    (entry,) = written(path)
    assert entry["message"] == redact(message)
    assert entry["field"] == redact(field)


def test_foreign_text_reaches_stderr_as_one_plain_line(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = logs.StderrLog()
    handler.addFilter(Redaction())
    log.addHandler(handler)
    log.info("%s", "a\nINFO fake\x1b[2J\x9b31m\u202e\r")
    try:
        raise ValueError("in\x1b]0;title\x07side")
    except ValueError:
        log.exception("broken")
    lines = capsys.readouterr().err
    assert not {"\x1b", "\x9b", "\u202e", "\r", "\x07"} & set(lines)
    assert "fake" in lines.splitlines()[0]
    assert any("in\\x1b]0;title\\x07side" in line for line in lines.splitlines())


def test_fields_that_are_no_json_are_written_as_text(log: logging.Logger, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    attach(log, path)
    fields = {"path": Path("/x"), "number": float("nan"), "list": [b"a", {1: {"token=abcdef"}}]}
    log.info("odd", extra=fields)
    log.info("%d", "no number")
    first, second = written(path)
    assert first["path"] == "/x"
    assert first["number"] == "nan"
    assert "abcdef" not in str(first)
    assert "could not be formatted" in second["message"]


def test_a_full_file_gives_way_to_a_fresh_one(log: logging.Logger, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    attach(log, path, most_bytes=2_000)
    for number in range(100):
        log.info("record %d", number)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["a.log", "a.log.1", "a.log.2"]
    assert all(file.stat().st_size <= 2_000 for file in files)
    kept = [entry["message"] for file in reversed(files) for entry in written(file)]
    assert kept == [f"record {number}" for number in range(100 - len(kept), 100)]


def test_a_file_that_was_moved_or_deleted_is_made_anew(log: logging.Logger, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    attach(log, path)
    log.info("first")
    path.rename(tmp_path / "moved")
    log.info("second")
    path.unlink()
    log.info("third")
    assert [entry["message"] for entry in written(path)] == ["third"]
    assert [entry["message"] for entry in written(tmp_path / "moved")] == ["first"]


def test_lost_records_are_counted(log: logging.Logger, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    attach(log, folder / "a.log")
    log.info("first")
    (folder / "a.log").unlink()
    folder.rmdir()
    log.info("nowhere to write")
    log.info("nor now")
    folder.mkdir()
    log.info("back")
    (entry,) = written(folder / "a.log")
    assert (entry["message"], entry["lost_before"]) == ("back", 2)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_is_no_error(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    attach(log, Path("/dev/full"))
    log.info("lost")
    assert capsys.readouterr().err == ""


WRITER = """
import logging, sys
from pathlib import Path
from kbtui.cli.logs import JsonLogFile
log = logging.getLogger("kbtui.test")
log.setLevel(logging.INFO)
log.addHandler(JsonLogFile(Path(sys.argv[1]), most_bytes=int(sys.argv[2])))
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    log.info("%s", "x" * (number % 300), extra={"writer": sys.argv[4], "number": number})
"""


@pytest.mark.parametrize(("most_bytes", "count"), [(10_000_000, 400), (40_000, 400)])
def test_processes_share_a_file(tmp_path: Path, most_bytes: int, count: int) -> None:
    path = tmp_path / "shared.log"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(most_bytes), str(count), str(writer)],
            stdin=subprocess.PIPE,
            text=True,
            env=environment(tmp_path),
        )
        for writer in range(4)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    files = sorted(tmp_path.iterdir())
    entries = [entry for file in reversed(files) for entry in written(file)]
    if most_bytes > 1_000_000:
        assert [file.name for file in files] == ["shared.log"]
        assert len(entries) == 4 * count
    else:
        assert [file.name for file in files] == ["shared.log", "shared.log.1", "shared.log.2"]
        # Whoever finds another process renaming does not wait but writes past the limit.
        assert files[1].stat().st_size > most_bytes - 1_000
    for number in range(4):
        mine = [entry["number"] for entry in entries if entry["writer"] == str(number)]
        assert len(mine) == len(set(mine))
        if mine and len(entries) == 4 * count:
            assert mine == list(range(count))


def test_setting_up_again_replaces_what_was_set_up(tmp_path: Path) -> None:
    before = list(logging.getLogger().handlers)
    try:
        for name in ("a.log", "b.log"):
            logs.set_up_logging(verbose=False, log_file=tmp_path / name, stderr=False)
            logging.getLogger("kbtui.x").info("into %s", name)
            logging.getLogger("kbtui.x").debug("not without --verbose")
            logging.getLogger("asyncio").error("from a library")
        for name in ("a.log", "b.log"):
            messages = [entry["message"] for entry in written(tmp_path / name)]
            assert messages == [f"into {name}", "from a library"]
    finally:
        for handler in [h for h in logging.getLogger().handlers if h not in before]:
            logging.getLogger().removeHandler(handler)
            handler.close()
        logging.captureWarnings(capture=False)
        logging.getLogger("kbtui").setLevel(logging.NOTSET)


def test_stderr_that_nobody_reads_is_no_error(home: Path, documents: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "kbtui", "search", "-v", "tea"],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=writing,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert done.returncode in (0, 120)
