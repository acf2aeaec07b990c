"""What a scan finds, passes over and reports, on a real file system."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kbtui.watch.ignore import RULES, ignored_by
from kbtui.watch.reconcile import vanished
from kbtui.watch.scan import NO_FILE, UNSUPPORTED, Scan, look_at, scan, unreadable


def scanned(root: Path) -> Scan:
    return scan(root, time.monotonic)


def reasons(found: Scan) -> dict[str, str]:
    return {problem.path: problem.reason for problem in found.problems}


def test_documents_are_found_whatever_the_case_of_their_suffix(root: Path) -> None:
    for name in ("a.pdf", "A.PDF", "deep/er/b.Md", "c.docx", "d.jpg", "e", "no.pdf/f.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    found = scanned(root)
    assert set(found.look.files) == {
        "a.pdf", "A.PDF", "deep/er/b.Md", "c.docx", "no.pdf/f.txt"
    }  # fmt: skip
    assert found.passed_over == {UNSUPPORTED: 2}
    status = (root / "deep/er/b.Md").stat()
    signature = (status.st_size, status.st_mtime_ns, status.st_ino)
    assert found.look.files["deep/er/b.Md"] == signature
    assert found.root_id == (root.stat().st_dev, root.stat().st_ino)
    assert found.look.began <= found.look.ended <= time.monotonic()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (".hidden.md", ".*"),
        ("~$report.docx", "~$*"),
        (".report.md.swp", "*.swp"),
        ("a.md~", "*~"),
        (".#a.md", ".#*"),
        ("a.pdf.part", "*.part"),
        ("A.TMP", "*.tmp"),
        ("a.pdf.crdownload", "*.crdownload"),
        (".DS_Store", ".ds_store"),
        ("Thumbs.db", "thumbs.db"),
        ("@eaDir", "@eadir"),
        (".stfolder", ".stfolder"),
        (".stversions", ".stversions"),
    ],
)
def test_hidden_and_temporary_names_are_ignored_by_a_rule(root: Path, name: str, rule: str) -> None:
    assert rule in RULES
    assert ignored_by(name) == rule
    (root / name).write_text("x")
    (root / "folder").mkdir()
    (root / "folder" / name).mkdir()
    (root / "folder" / name / "inside.md").write_text("x")
    found = scanned(root)
    assert not found.look.files
    assert found.passed_over == {rule: 2}


def test_ordinary_names_are_not_ignored() -> None:
    for name in ("a.md", "tmp.md", "a~b.md", "part.pdf", "$~.md"):
        assert ignored_by(name) is None


def test_symlinks(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "o.md").write_text("out")
    (root / "in.md").write_text("in")
    links = {
        "same.md": root / "in.md",
        "out.md": outside / "o.md",
        "nowhere.md": root / "missing.md",
        "self.md": root / "self.md",
        "folder": outside,
        "loop": root,
        "other.txt": root / "in.md",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    found = scanned(root)
    assert set(found.look.files) == {"in.md", "same.md", "other.txt"}
    assert found.look.files["same.md"] == found.look.files["in.md"]
    told = reasons(found)
    assert set(told) == {"out.md", "nowhere.md", "self.md", "folder", "loop"}
    assert "out of" in told["out.md"]
    assert "nowhere" in told["nowhere.md"]
    assert "not followed" in told["loop"]


def test_what_is_no_regular_file_is_not_opened(root: Path) -> None:
    os.mkfifo(root / "pipe.md")
    (root / "link.md").symlink_to(root / "pipe.md")
    found = scanned(root)
    assert not found.look.files
    assert found.passed_over == {NO_FILE: 2}
    # Even where it takes a file's place at the last moment, nobody waits for its writer.
    assert unreadable(root, ["pipe.md", "gone.md"]).keys() == {"gone.md"}


def test_a_name_that_is_not_utf8(root: Path) -> None:
    path = os.path.join(os.fsencode(root), b"caf\xe9.md")
    try:
        with open(path, "w") as file:
            file.write("x")
    except OSError:
        assert sys.platform == "darwin"  # its file systems take UTF-8 only
        return
    (name,) = scanned(root).look.files
    assert os.fsencode(name) == b"caf\xe9.md"
    assert name in look_at(root, [name], time.monotonic).files
    assert not unreadable(root, [name])


def test_a_look_leaves_out_what_is_no_candidate_any_more(root: Path) -> None:
    (root / "a.md").write_text("a")
    (root / "b.md").mkdir()
    os.mkfifo(root / "c.md")
    assert set(look_at(root, ["a.md", "b.md", "c.md", "d.md"], time.monotonic).files) == {"a.md"}


def test_a_root_that_is_not_there_is_offline(root: Path) -> None:
    found = scanned(root / "missing")
    assert found.root_id is None
    assert found.offline == "no such file or directory"
    (root / "file").write_text("x")
    assert scanned(root / "file").offline == "not a directory"
    assert vanished(found, ["a.md"]) == []


def test_nothing_has_vanished_where_nothing_was_seen(root: Path) -> None:
    empty = scanned(root)
    assert vanished(empty, ["a.md", "b/c.md"]) == []
    (root / "x.md").write_text("x")
    assert vanished(scanned(root), ["a.md", "x.md"]) == ["a.md"]


UNPRIVILEGED = """
import json, os, shutil, sys, tempfile, time
from pathlib import Path
from kbtui.watch.reconcile import vanished
from kbtui.watch.scan import scan, unreadable
from tests.watch.simulation import LONG, Simulation, put
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
root = Path(tempfile.mkdtemp())
try:
    for name in ("closed/a.md", "open/b.md", "locked.md", "lost.md"):
        (root / name).parent.mkdir(exist_ok=True)
        put(root / name, b"x")
    with Simulation(root) as simulation:
        (root / "closed").chmod(0)
        (root / "locked.md").chmod(0)
        (root / "lost.md").chmod(0)
        found = scan(root, time.monotonic)
        closed = unreadable(root, ["locked.md", "open/b.md"])
        simulation.advance(LONG)
        before = simulation.names
        status = simulation.status
        (root / "closed").chmod(0o700)
        (root / "locked.md").chmod(0o600)
        (root / "lost.md").unlink()
        simulation.advance(LONG)
        print(json.dumps({
            "files": sorted(found.look.files),
            "unread": sorted(found.unread),
            "problems": [[p.path, p.reason] for p in found.problems],
            "vanished": vanished(found, ["closed/a.md", "gone.md"]),
            "unreadable": closed,
            "before": before,
            "blocked": [[p.path, p.reason] for p in status.blocked_by],
            "after": simulation.names,
            "blocked_after": simulation.status.blocked,
        }))
finally:
    (root / "closed").chmod(0o700)
    shutil.rmtree(root)
"""


def test_what_cannot_be_read_is_told_and_looked_at_again() -> None:
    """In a process of its own that is not root, from whom nothing is closed."""
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said == {
        "files": ["locked.md", "lost.md", "open/b.md"],
        "unread": ["closed/"],
        "problems": [["closed/", "cannot read the folder: permission denied"]],
        "vanished": ["gone.md"],
        "unreadable": {"locked.md": "permission denied"},
        "before": ["b.md"],
        "blocked": [["locked.md", "permission denied"], ["lost.md", "permission denied"]],
        "after": ["b.md", "locked.md", "a.md"],
        "blocked_after": 0,
    }
