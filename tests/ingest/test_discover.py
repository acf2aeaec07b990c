"""From named paths to files, with a reason for each that is left out."""

from __future__ import annotations

import os
from pathlib import Path

from kbtui.ingest.discover import discover


def test_a_folder_is_walked_in_order_and_its_misfits_are_skipped(tmp_path: Path) -> None:
    for name in ("b.md", "a.txt", "sub/c.PDF", "sub/d.png", ".hidden.md", ".git/e.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    found = discover([tmp_path])
    assert found.files == [tmp_path / "a.txt", tmp_path / "b.md", tmp_path / "sub/c.PDF"]
    (refusal,) = found.refusals
    assert refusal.path == tmp_path / "sub/d.png"
    assert not refusal.named
    assert "unsupported type (.png)" in refusal.reason


def test_what_is_named_itself_fails(tmp_path: Path) -> None:
    picture = tmp_path / "d.png"
    picture.write_text("x")
    nowhere = tmp_path / "link.md"
    nowhere.symlink_to(tmp_path / "gone")
    pipe = tmp_path / "pipe.md"
    os.mkfifo(pipe)
    found = discover([picture, tmp_path / "missing.md", nowhere, pipe])
    assert not found.files
    assert all(refusal.named for refusal in found.refusals)
    reasons = [refusal.reason for refusal in found.refusals]
    assert "unsupported type" in reasons[0]
    assert reasons[1:] == [
        "no such file",
        "a symlink that leads nowhere",
        "not a regular file",
    ]


def test_relative_paths_are_resolved_and_doubles_counted_once(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        found = discover(["a.md", ".", "./a.md"])
    finally:
        os.chdir(before)
    assert found.files == [tmp_path / "a.md"]


def test_a_name_that_is_not_utf8_survives(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.md"
    try:
        with open(raw, "w") as file:
            file.write("x")
    except OSError:
        return  # a file system (macOS) that takes UTF-8 only has no such names
    (found,) = discover([tmp_path]).files
    assert os.fsencode(found) == raw


def test_a_loop_of_folders_ends(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert discover([tmp_path]).files == [tmp_path / "a.md"]
