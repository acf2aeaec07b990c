"""What is handed over, and when: real files on virtual time."""

from __future__ import annotations

import os
from pathlib import Path

from kbtui.watch import WatchPolicy
from kbtui.watch.root import BATCH
from tests.watch.simulation import LONG, SETTLE, Simulation, move_in, put, touch


def test_a_file_that_is_there_at_the_start_passes_the_same_gate(root: Path) -> None:
    put(root / "a.md", b"x")
    with Simulation(root) as run:
        run.advance(SETTLE - 0.1)
        assert not run.taken
        assert run.status.settling == 1
        run.advance(0.2)
        assert run.taken == [(root / "a.md", b"x", SETTLE)]
        assert (run.status.settling, run.status.handed_over) == (0, 1)
        run.advance(LONG)
        assert len(run.taken) == 1


def test_a_partial_write_resets_the_time(run: Simulation, root: Path) -> None:
    run.advance(10)
    for size in range(1, 30):
        put(root / "a.md", b"x" * size)
        run.hint()
        run.advance(3)
        assert not run.taken
    run.advance(10)
    assert [content for _, content, _ in run.taken] == [b"x" * 29]


def test_a_writer_that_preallocates_is_told_by_its_times(run: Simulation, root: Path) -> None:
    for _ in range(10):
        put(root / "a.md", b"\0" * 100)
        run.advance(4)
        assert not run.taken
    put(root / "a.md", b"y" * 100)
    run.advance(LONG)
    assert [content for _, content, _ in run.taken] == [b"y" * 100]


def test_a_stalled_copy_is_handed_over_again_when_it_is_complete(
    run: Simulation, root: Path
) -> None:
    put(root / "a.md", b"half")
    run.hint()
    run.advance(30)
    put(root / "a.md", b"half and whole")
    run.hint()
    run.advance(30)
    assert [content for _, content, _ in run.taken] == [b"half", b"half and whole"]


def test_an_atomic_save_gives_one_candidate(run: Simulation, root: Path) -> None:
    put(root / "a.md", b"old")
    run.advance(LONG)
    put(root / "a.md.tmp", b"new")
    run.hint()
    run.advance(2)
    (root / "a.md.tmp").rename(root / "a.md")
    run.hint()
    run.advance(LONG)
    assert [(path.name, content) for path, content, _ in run.taken] == [
        ("a.md", b"old"),
        ("a.md", b"new"),
    ]


def test_the_editors_backup_dance_gives_one_candidate(run: Simulation, root: Path) -> None:
    put(root / "a.md", b"old")
    run.advance(LONG)
    (root / "a.md").rename(root / "a.md~")
    run.hint()
    run.advance(0.5)
    put(root / "a.md", b"new")
    run.hint()
    run.advance(LONG)
    assert [content for _, content, _ in run.taken] == [b"old", b"new"]


def test_a_download_counts_under_its_last_name(run: Simulation, root: Path) -> None:
    put(root / "a.pdf.crdownload", b"%PDF")
    run.advance(LONG)
    assert not run.taken
    (root / "a.pdf.crdownload").rename(root / "a.pdf")
    run.hint()
    run.advance(1 + SETTLE + 0.1)
    assert run.names == ["a.pdf"]


def test_a_folder_that_is_moved_in_is_found_by_one_scan(
    run: Simulation, root: Path, tmp_path: Path
) -> None:
    run.advance(10)
    files = {f"{number % 7}/{number % 3}/{number}.md": b"%d" % number for number in range(200)}
    move_in(root, "in", files, tmp_path)
    run.hint()  # one event for the folder, none for what is in it
    run.advance(1 + SETTLE + 0.1)
    assert {str(path.relative_to(root / "in")): content for path, content, _ in run.taken} == files
    assert len(run.taken) == 200


def test_an_empty_file_waits_until_it_grows(run: Simulation, root: Path) -> None:
    put(root / "a.md", b"")
    run.advance(LONG)
    assert not run.taken
    assert (run.status.empty, run.status.settling) == (1, 0)
    put(root / "a.md", b"x")
    run.advance(LONG)
    assert [content for _, content, _ in run.taken] == [b"x"]


def test_a_file_put_in_anothers_place_is_told_by_its_inode(run: Simulation, root: Path) -> None:
    put(root / "a.md", b"old")
    run.advance(LONG)
    found = (root / "a.md").stat()
    (root / "b.tmp").write_bytes(b"new")
    os.utime(root / "b.tmp", ns=(found.st_atime_ns, found.st_mtime_ns))
    (root / "b.tmp").rename(root / "a.md")
    run.advance(LONG)
    assert [content for _, content, _ in run.taken] == [b"old", b"new"]


def test_times_in_the_future_and_long_ago_settle_like_any_other(
    run: Simulation, root: Path
) -> None:
    for number, seconds in enumerate((0, 1, 2**33, 5)):
        (root / "a.md").write_bytes(b"%d" % number)
        os.utime(root / "a.md", (seconds, seconds))
        run.advance(LONG)
    assert [content for _, content, _ in run.taken] == [b"0", b"1", b"2", b"3"]


def test_a_touched_file_is_handed_over_once_more(run: Simulation, root: Path) -> None:
    put(root / "a.md", b"x")
    run.advance(LONG)
    touch(root / "a.md")
    run.advance(LONG)
    assert run.names == ["a.md", "a.md"]


def test_what_comes_and_goes_is_not_handed_over(run: Simulation, root: Path) -> None:
    put(root / "a.md", b"x")
    run.hint()
    run.advance(4)
    (root / "a.md").unlink()
    run.hint()
    run.advance(LONG)
    assert not run.taken
    assert run.status.settling == 0


def test_what_is_not_taken_is_offered_again(run: Simulation, root: Path) -> None:
    put(root / "a.md", b"a")
    put(root / "b.md", b"b")
    run.take = lambda _, paths: [path for path in paths if path.name == "b.md"]
    run.advance(20)
    assert run.names == ["b.md"]
    run.take = lambda _, paths: paths
    run.advance(61)
    assert run.names == ["b.md", "a.md"]


def test_a_failure_to_hand_over_is_told_and_tried_again(run: Simulation, root: Path) -> None:
    def fail(_: object, __: object) -> list[Path]:
        raise OSError("the disk is full")

    put(root / "a.md", b"a")
    run.take = fail
    run.advance(20)
    assert run.status.error == "the disk is full"
    run.take = lambda _, paths: paths
    run.advance(61)
    assert run.names == ["a.md"]
    assert run.status.error is None


def test_many_files_are_handed_over_bit_by_bit(root: Path, run: Simulation) -> None:
    sizes: list[int] = []

    def take(_: Path, paths: list[Path]) -> list[Path]:
        sizes.append(len(paths))
        return paths

    for number in range(BATCH + 1):
        (root / f"{number}.md").write_bytes(b"x")
    run.take = take
    run.advance(20)
    assert sizes == [BATCH, 1]


def test_a_file_that_grows_is_looked_at_without_scans(root: Path) -> None:
    with Simulation(root, policy=WatchPolicy(settle=1, interval=1000)) as run:
        run.advance(5)
        put(root / "a.md", b"x")
        run.hint()
        run.advance(1.5)
        scans = len(run.scans)
        for size in range(1, 21):
            put(root / "a.md", b"x" * size)
            run.advance(0.9)
        assert not run.taken
        run.advance(2.1)
        assert [content for _, content, _ in run.taken] == [b"x" * 20]
        assert len(run.scans) == scans
