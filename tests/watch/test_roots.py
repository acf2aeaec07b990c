"""Which folders can be watched, and by whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from kbtui.watch import RootBusy, RootLocks, WatchError, check_roots


def test_folders_come_back_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "ab").mkdir()
    monkeypatch.chdir(tmp_path)
    assert check_roots([Path("a"), Path("a/../ab")]) == [tmp_path / "a", tmp_path / "ab"]


def test_folders_that_cannot_be_watched_are_told(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(WatchError, match=r"there is no folder .*missing"):
        check_roots([tmp_path / "missing"])
    with pytest.raises(WatchError, match="file' is a file"):
        check_roots([tmp_path / "file"])
    for first, second in (("a", "a/b"), ("a/b", "a"), ("link", "a/b")):
        with pytest.raises(WatchError, match="overlap"):
            check_roots([tmp_path / first, tmp_path / second])
    for first, second in (("a", "a"), ("a", "link")):
        with pytest.raises(WatchError, match="given twice"):
            check_roots([tmp_path / first, tmp_path / second])


def test_a_folder_is_watched_by_one_at_a_time(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for root in (one, two):
        root.mkdir()
    (tmp_path / "link").symlink_to(one)
    with RootLocks(tmp_path / "locks", [one]):
        with RootLocks(tmp_path / "locks", [two]):
            pass
        for other in (one, tmp_path / "link"):
            with (
                pytest.raises(RootBusy, match="another kbtui watches"),
                RootLocks(tmp_path / "locks", [two, other]),
            ):
                pass
        with RootLocks(tmp_path / "locks", [two]):  # was let go of when the other failed
            pass
    with RootLocks(tmp_path / "locks", [one]):
        pass


def test_locks_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WatchError, match="cannot write"), RootLocks(tmp_path / "file", [tmp_path]):
        pass
