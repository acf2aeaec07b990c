"""The journal: every job and each of its transitions in SQLite, on disk before it is acted on."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from kbtui.ingest.jobs import ENDED, Job, JobState

T = TypeVar("T")

SCHEMA_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    path BLOB NOT NULL,
    name TEXT NOT NULL,
    domain TEXT,
    server TEXT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    added_at REAL NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT,
    attempt INTEGER NOT NULL,
    started_at REAL,
    finished_at REAL,
    document_id TEXT,
    error TEXT,
    reason TEXT,
    timed_out INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_by_content ON jobs (server, sha256);
CREATE INDEX jobs_by_state ON jobs (state, added_at);
CREATE TABLE transitions (
    sequence INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL,
    at REAL NOT NULL,
    previous TEXT,
    state TEXT NOT NULL,
    detail TEXT
) STRICT;
CREATE INDEX transitions_by_job ON transitions (job_id, sequence);
"""

_COLUMNS: Final = (
    "job_id, path, name, domain, server, key, state, added_at, size, sha256, attempt, "
    "started_at, finished_at, document_id, error, reason, timed_out"
)
_UNFINISHED: Final = (
    "state NOT IN (" + ", ".join(f"'{state}'" for state in sorted(ENDED)) + ")"
)  # the states are words of ours


class JournalError(Exception):
    """The journal cannot be used; the text says what to do."""


class Journal:
    """The memory of one kbtui process, shared with others through one SQLite file.

    Every job has an owner: the process that works on it, known by a lock (flock) that ends with
    it. A process touches only its own jobs, and `adopt`s those whose owner has died. Writes go
    through one thread, in order, each on disk (full sync) when its call returns.
    """

    def __init__(
        self, connection: sqlite3.Connection, owners: Path, owner: str, lock: IO[str]
    ) -> None:
        self._connection = connection
        self._owners = owners
        self._owner = owner
        self._lock = lock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    @classmethod
    async def open(cls, folder: Path) -> Journal:
        """Open or create the journal in `folder`. Raises JournalError with a sentence."""
        return await asyncio.to_thread(cls._open, folder)

    @classmethod
    def _open(cls, folder: Path) -> Journal:
        owners = folder / "owners"
        path = folder / "journal.db"
        try:
            owners.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = uuid.uuid4().hex
            lock = (owners / owner).open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            connection = sqlite3.connect(
                path, timeout=30.0, isolation_level=None, check_same_thread=False
            )
            path.chmod(0o600)
            _prepare(connection, path)
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"cannot open the journal {path}: {error}") from None
        return cls(connection, owners, owner, lock)

    async def add(self, jobs: Sequence[Job]) -> None:
        """Record new jobs, all or none."""

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(
                f"INSERT INTO jobs (owner, {_COLUMNS}) VALUES ({', '.join('?' * 18)})",
                [(self._owner, *_row(job)) for job in jobs],
            )
            _note(connection, ((job, None) for job in jobs))

        await self._write(write)

    async def update(self, job: Job, previous: JobState) -> None:
        """Record a job as it now is, and its transition from `previous`."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE jobs SET state=?, size=?, sha256=?, key=?, attempt=?, started_at=?, "
                "finished_at=?, document_id=?, error=?, reason=?, timed_out=? WHERE job_id=?",
                (
                    *(job.state, job.size, job.sha256, job.key, job.attempt, job.started_at),
                    *(
                        job.finished_at,
                        job.document_id,
                        job.error,
                        job.reason,
                        job.timed_out,
                        job.job_id,
                    ),
                ),
            )
            _note(connection, [(job, previous)])

        await self._write(write)

    async def adopt(self, server: str, paths: Container[str] | None = None) -> list[Job]:
        """Take over the unfinished jobs for `server` whose owner has died; they are ours now.

        With `paths`, only the jobs of those files. In the order in which they were added.
        """

        def write(connection: sqlite3.Connection) -> list[Job]:
            adopted: list[Job] = []
            for (owner,) in connection.execute(
                f"SELECT DISTINCT owner FROM jobs WHERE {_UNFINISHED} AND owner != ?",
                (self._owner,),
            ).fetchall():
                with _if_dead(self._owners / owner) as dead:
                    if not dead:
                        continue
                    rows = connection.execute(
                        f"SELECT {_COLUMNS} FROM jobs WHERE owner=? AND server=? AND {_UNFINISHED}",
                        (owner, server),
                    )
                    jobs = [_job(row) for row in rows]
                    adopted += [job for job in jobs if paths is None or job.path in paths]
            connection.executemany(
                "UPDATE jobs SET owner=? WHERE job_id=?",
                [(self._owner, job.job_id) for job in adopted],
            )
            return sorted(adopted, key=lambda job: (job.added_at, job.job_id))

        return await self._write(write)

    async def same_content(self, server: str, domain: str | None, sha256: str) -> list[Job]:
        """The jobs of the same content in the same place, oldest first, in whatever state."""

        def read(connection: sqlite3.Connection) -> list[Job]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE server=? AND sha256=? AND domain IS ? "
                "ORDER BY added_at, job_id",
                (server, sha256, domain),
            )
            return [_job(row) for row in rows]

        return await self._run(read)

    async def aclose(self) -> None:
        """Finish what is being written and let go of the file."""

        def close(connection: sqlite3.Connection) -> None:
            unfinished = connection.execute(
                f"SELECT 1 FROM jobs WHERE owner=? AND {_UNFINISHED} LIMIT 1", (self._owner,)
            ).fetchone()
            connection.close()
            if unfinished is None:
                (self._owners / self._owner).unlink(missing_ok=True)
            self._lock.close()

        await self._run(close)
        self._thread.shutdown()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, work, self._connection)
        # A caller that is cancelled must not take a write back that is under way.
        return await asyncio.shield(future)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def transaction(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            return result

        try:
            return await self._run(transaction)
        except sqlite3.Error as error:
            raise JournalError(f"cannot write to the journal: {error}") from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"the journal {path} was written by a newer kbtui (schema {version}, this one knows "
            f"{SCHEMA_VERSION}): upgrade kbtui, or set KBTUI_HOME to another folder"
        )
    if version == 0:
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


@contextmanager
def _if_dead(lock: Path) -> Iterator[bool]:
    """Whether nobody holds an owner's lock; while the block runs nobody else can find out."""
    try:
        file = lock.open("r+")
    except FileNotFoundError:
        yield True
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def _note(
    connection: sqlite3.Connection, transitions: Iterable[tuple[Job, JobState | None]]
) -> None:
    now = time.time()
    connection.executemany(
        "INSERT INTO transitions (job_id, at, previous, state, detail) VALUES (?, ?, ?, ?, ?)",
        [
            (job.job_id, now, previous, job.state, job.error or job.reason)
            for job, previous in transitions
        ],
    )


def _row(job: Job) -> tuple[Any, ...]:
    return (
        *(job.job_id, os.fsencode(job.path), _text(job.name), job.domain, job.server, job.key),
        *(job.state, job.added_at, job.size, job.sha256, job.attempt, job.started_at),
        *(job.finished_at, job.document_id, job.error, job.reason, job.timed_out),
    )


def _job(row: tuple[Any, ...]) -> Job:
    job_id, path, name, domain, server, key, state, *rest = row
    rest[-1] = bool(rest[-1])
    return Job(job_id, os.fsdecode(path), name, domain, server, key, JobState(state), *rest)


def _text(name: str) -> str:
    """A file name as text that SQLite and JSON take: bytes that are not UTF-8 are shown."""
    return name.encode("utf-8", "backslashreplace").decode()
