"""When a folder is looked at: hints that come, never cease or fail, and a root that goes."""

from __future__ import annotations

import shutil
from pathlib import Path

from kbtui.watch import WatchMode
from kbtui.watch.hints import LIMIT_ADVICE, HintsFailed
from tests.watch.simulation import LONG, SETTLE, Simulation, put


def test_without_any_event_everything_is_found_within_a_minute(run: Simulation, root: Path) -> None:
    run.advance(10)
    assert run.status.mode is WatchMode.EVENTS
    put(root / "a.md", b"x")
    run.advance(60 + SETTLE)
    assert run.names == ["a.md"]


def test_scans_come_a_second_after_the_events_and_every_minute(run: Simulation) -> None:
    run.advance(10)
    before = len(run.scans)
    for _ in range(20):
        run.hint()
        run.advance(0.04)
    run.advance(0.9)
    assert len(run.scans) == before
    run.advance(0.1)
    assert len(run.scans) == before + 1
    run.advance(59)
    assert len(run.scans) == before + 1
    run.advance(2)
    assert len(run.scans) == before + 2


def test_events_that_never_cease_do_not_put_scans_off(run: Simulation, root: Path) -> None:
    run.advance(10)
    put(root / "a.md", b"x")
    for _ in range(120):
        run.hint()
        run.advance(0.1)
    assert run.names == ["a.md"]


def test_where_events_fail_nothing_is_lost_and_they_are_asked_for_again(
    run: Simulation, root: Path
) -> None:
    run.advance(10)
    put(root / "a.md", b"x")
    run.hint(HintsFailed("cannot decode a path"))
    run.advance(0.9)
    assert run.sources == 1
    run.advance(SETTLE + 2)
    assert run.names == ["a.md"]
    assert run.sources == 2
    assert run.status.mode is WatchMode.EVENTS
    run.hint()
    run.advance(2)
    assert run.status.last_event is not None


def test_without_events_the_folder_is_polled(run: Simulation, root: Path) -> None:
    run.advance(100)
    put(root / "a.md", b"x")
    run.no_source = HintsFailed(LIMIT_ADVICE)
    run.hint(HintsFailed("the queue is gone"))
    run.advance(2 + SETTLE + 0.1)  # what came with the failure is looked for at once
    assert run.names == ["a.md"]
    run.advance(LONG)
    assert run.status.mode is WatchMode.POLLING
    assert run.status.reason == LIMIT_ADVICE
    assert "sysctl" in LIMIT_ADVICE
    put(root / "b.md", b"y")
    run.advance(2 * SETTLE + 0.1)
    assert run.names == ["a.md", "b.md"]
    run.no_source = None
    run.advance(60)
    assert run.status.mode is WatchMode.EVENTS
    assert run.status.reason is None


def test_a_root_that_goes_offline_loses_nothing(run: Simulation, root: Path) -> None:
    put(root / "a.md", b"x")
    run.advance(LONG)
    away = root.with_name("away")
    root.rename(away)
    run.advance(LONG)
    assert run.status.mode is WatchMode.OFFLINE
    assert run.status.reason == "no such file or directory"
    away.rename(root)
    run.advance(LONG)
    assert run.status.mode is WatchMode.EVENTS
    assert run.names == ["a.md"]


def test_a_new_folder_in_the_roots_place_is_watched_anew(run: Simulation, root: Path) -> None:
    put(root / "a.md", b"x")
    run.advance(LONG)
    sources = run.sources
    root.rename(root.with_name("renamed"))
    root.mkdir()
    put(root / "b.md", b"y")
    run.advance(LONG)
    assert run.names == ["a.md", "b.md"]
    assert run.sources == sources + 1


def test_two_roots_are_watched_at_once(tmp_path: Path) -> None:
    roots = tmp_path / "one", tmp_path / "two"
    for root in roots:
        root.mkdir()
        put(root / "a.md", root.name.encode())
    with Simulation(*roots) as run:
        shutil.rmtree(roots[0])
        run.advance(LONG)
        assert [path for path, _, _ in run.taken] == [roots[1] / "a.md"]
        assert [status.mode for status in run.watcher.status] == [
            WatchMode.OFFLINE,
            WatchMode.EVENTS,
        ]
