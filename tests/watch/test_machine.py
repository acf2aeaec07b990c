"""Whatever happens to the files, and whatever events tell of it: what is on disk is handed over."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from kbtui.watch.hints import HintsFailed
from tests.watch.simulation import LONG, SETTLE, Simulation, move_in, put, touch

FILES = st.sampled_from(
    ["a.md", "b.PDF", "c.txt", "d/a.md", "d/e.html", "d/f/g.docx", "h/i.md"]
    # The file systems of macOS take UTF-8 only.
    + (["d/\udce9.md"] if sys.platform != "darwin" else [])
)
NOT_MEANT = st.sampled_from(
    [".a.md", "a.md.tmp", "d/~$g.docx", "d/a.md~", "h/x.jpg", ".git/a.md", "d/b.crdownload"]
)
FOLDERS = st.sampled_from(["d", "d/f", "h", "in"])
CONTENT = st.binary(max_size=4)


class Folder(RuleBasedStateMachine):
    """Operations on a real folder, with a watcher that hears of some of them.

    A file's state is its path and stat; `states` has the number of each file's present state and
    when, in virtual time, it began.
    """

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp())
        self.root = self.base / "root"
        self.root.mkdir()
        self.numbers = itertools.count()
        self.states: dict[Path, tuple[tuple[int, ...], int, float]] = {}
        self.handed: dict[Path, bytes] = {}
        self.seen: set[tuple[Path, int]] = set()
        self.run: Simulation = Simulation(self.root)
        self.run.take = self.take

    @initialize(files=st.dictionaries(FILES, CONTENT))
    def there_at_the_start(self, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            self.write(name, content)

    def teardown(self) -> None:
        try:
            with self.run:
                self.run.advance(LONG)
                expected = {
                    path: content for path in self.meant() if (content := path.read_bytes())
                }
                assert {path: self.handed.get(path) for path in expected} == expected
                handed = len(self.run.taken)
                self.run.advance(LONG)
                assert len(self.run.taken) == handed
                assert self.run.status.settling == 0
        finally:
            shutil.rmtree(self.base)

    def meant(self) -> list[Path]:
        """The documents that are there, by this test's own idea of them."""
        found = []
        for parent, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [Path(parent, name) for name in files]
        return [
            path
            for path in found
            if path.suffix.lower() in {".md", ".pdf", ".txt", ".html", ".docx"}
            and not path.name.startswith((".", "~$"))
        ]

    def take(self, _: Path, paths: Any) -> Any:
        for path in paths:
            _signature, number, since = self.states[path]
            assert (path, number) not in self.seen, "handed over twice in one state"
            assert self.run.now - since >= SETTLE, "handed over before it has settled"
            self.seen.add((path, number))
            self.handed[path] = path.read_bytes()
            assert self.handed[path], "handed over while empty"
        return paths

    def done(self, *, hint: bool = False) -> None:
        """Note which files are in a new state."""
        before, self.states = self.states, {}
        for path in self.meant():
            found = path.stat()
            signature = (found.st_size, found.st_mtime_ns, found.st_ino)
            if path in before and before[path][0] == signature:
                self.states[path] = before[path]
            else:
                self.states[path] = (signature, next(self.numbers), self.run.now)
        if hint:
            self.run.hint()

    def path(self, name: str) -> Path:
        """Where to write a file; its folder is made. A file in a folder's place goes."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @rule(name=FILES | NOT_MEANT, content=CONTENT, hint=st.booleans())
    def write(self, name: str, content: bytes, hint: bool = False) -> None:
        put(self.path(name), content)
        self.done(hint=hint)

    @rule(name=FILES, content=CONTENT, hint=st.booleans())
    def append(self, name: str, content: bytes, hint: bool) -> None:
        path = self.path(name)
        put(path, (path.read_bytes() if path.exists() else b"") + content)
        self.done(hint=hint)

    @rule(name=FILES, content=CONTENT, hint=st.booleans())
    def save_atomically(self, name: str, content: bytes, hint: bool) -> None:
        temporary = self.path(f"{name}.tmp")
        put(temporary, content)
        temporary.rename(self.path(name))
        self.done(hint=hint)

    @rule(old=FILES | NOT_MEANT, new=FILES | NOT_MEANT, hint=st.booleans())
    def rename(self, old: str, new: str, hint: bool) -> None:
        if (self.root / old).exists():
            (self.root / old).rename(self.path(new))
            self.done(hint=hint)

    @rule(name=FILES, hint=st.booleans())
    def delete(self, name: str, hint: bool) -> None:
        (self.root / name).unlink(missing_ok=True)
        self.done(hint=hint)

    @rule(name=FILES, hint=st.booleans())
    def touch(self, name: str, hint: bool) -> None:
        if (self.root / name).exists():
            touch(self.root / name)
            self.done(hint=hint)

    @rule(name=FOLDERS, files=st.dictionaries(FILES, CONTENT), hint=st.booleans())
    def move_folder_in(self, name: str, files: dict[str, bytes], hint: bool) -> None:
        if not (self.root / name).exists() and (self.root / name).parent.exists() and files:
            move_in(self.root, name, files, self.base)
            self.done(hint=hint)

    @rule(old=FOLDERS, new=FOLDERS, hint=st.booleans())
    def rename_folder(self, old: str, new: str, hint: bool) -> None:
        if (
            (self.root / old).is_dir()
            and not (self.root / new).exists()
            and (self.root / new).parent.exists()
            and not new.startswith(f"{old}/")
        ):
            (self.root / old).rename(self.root / new)
            self.done(hint=hint)

    @rule(name=FOLDERS, hint=st.booleans())
    def move_folder_out(self, name: str, hint: bool) -> None:
        if (self.root / name).is_dir():
            (self.root / name).rename(self.base / f"out-{next(self.numbers)}")
            self.done(hint=hint)

    @rule()
    def events_fail(self) -> None:
        self.run.hint(HintsFailed("cannot decode a path"))

    @rule(seconds=st.sampled_from([0.3, 1.1, 4.9, 5.1, 20.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.run.advance(seconds)


TestFolder = Folder.TestCase
TestFolder.settings = settings(
    max_examples=120, stateful_step_count=25, deadline=None, derandomize=True
)
