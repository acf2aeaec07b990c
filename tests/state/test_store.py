"""The state store: events in, views out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kbtui.connection import (
    ConnectionState,
    FrameDropped,
    LatencyMeasured,
    Mode,
    ServerQuiet,
    StateChanged,
)
from kbtui.ingest.events import Attribution, JobChanged, JobProgressed, ProgressUnattributed
from kbtui.ingest.jobs import Job, JobState
from kbtui.protocol.messages import Progress
from kbtui.state.log import LogBuffer
from kbtui.state.store import Store

S = JobState


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def job(state: JobState, **more: Any) -> Job:
    made = Job("j", "/docs/a.md", "a.md", None, "server", "key", state, 1000.0)
    return replace(made, **more)


def report(stage: float | None, status: str, **more: Any) -> JobProgressed:
    progress = Progress(stage=stage, status=status, message=f"{stage} {status}", **more)
    return JobProgressed("j", progress, Attribution.EXACT)


def started(clock: Clock) -> Store:
    store = Store(clock)
    store.apply(JobChanged(job(S.QUEUED), None))
    store.apply(JobChanged(job(S.SUBMITTING, started_at=1000.0), S.QUEUED))
    store.apply(JobChanged(job(S.RUNNING, started_at=1000.0), S.SUBMITTING))
    return store


def test_a_document_from_queue_to_end() -> None:
    clock = Clock()
    store = started(clock)
    view = store.documents["j"]
    store.apply(report(1, "started"))
    clock.now += 2
    store.apply(report(1, "completed"))
    store.apply(report(5, "started"))
    store.apply(report(5, "progress", current=1, total=2))
    clock.now += 3
    assert view.stage == 5
    assert view.fraction == 0.55
    assert [(span.stage, span.ended) for span in view.spans] == [(1, 1002.0), (5, None)]
    assert view.elapsed(clock()) == 5
    store.apply(report(9, "completed"))
    assert view.fraction < 1, "only the answer makes it full"
    ended = job(S.COMPLETED, started_at=1000.0, finished_at=1005.0, document_id="d")
    store.apply(JobChanged(ended, S.RUNNING))
    assert view.fraction == 1
    assert view.elapsed(clock() + 99) == 5
    assert all(span.ended is not None for span in view.spans)
    assert store.totals[S.COMPLETED] == 1
    assert sum(store.totals.values()) == 1


@given(
    st.lists(
        st.builds(
            report,
            st.none() | st.sampled_from([0, 1, 2, 3.5, 5, 9, 12, -1, 1e9]),
            st.sampled_from(["started", "progress", "completed", "failed", ""]),
            current=st.none() | st.integers(-1, 5),
            total=st.none() | st.integers(-1, 5),
        ),
        max_size=20,
    )
)
def test_a_bar_never_goes_back_and_is_never_full_before_the_answer(
    reports: list[JobProgressed],
) -> None:
    store = started(Clock())
    last = 0.0
    for event in reports:
        store.apply(event)
        fraction = store.documents["j"].fraction
        assert last <= fraction < 1
        last = fraction


def test_a_late_report_moves_nothing() -> None:
    store = started(Clock())
    store.apply(JobChanged(job(S.FAILED, error="no", finished_at=1000.0), S.RUNNING))
    store.take_changes()
    store.apply(report(5, "started"))
    assert store.documents["j"].stage is None
    assert not store.take_changes().documents


def test_another_try_begins_anew() -> None:
    store = started(Clock())
    store.apply(report(5, "started"))
    store.apply(JobChanged(job(S.FAILED, error="no"), S.RUNNING))
    store.apply(JobChanged(job(S.QUEUED), S.FAILED))
    view = store.documents["j"]
    assert (view.stage, view.fraction, view.spans, view.error) == (None, 0.0, [], None)


def test_changes_are_taken_once() -> None:
    store = started(Clock())
    changes = store.take_changes()
    assert changes.documents == {"j"}
    assert changes.added
    assert changes.log
    assert not store.take_changes()


def changed(state: ConnectionState, epoch: int = 1, **more: Any) -> StateChanged:
    fields: dict[str, Any] = {"mode": Mode.NATIVE, "url": "ws://h/ws", "reason": None}
    fields |= {"attempt": 0, "retry_in": None, **more}
    return StateChanged(state, ConnectionState.CONNECTING, epoch, **fields)


def test_the_connection() -> None:
    clock = Clock()
    store = Store(clock)
    store.apply(changed(ConnectionState.CONNECTED))
    store.apply(LatencyMeasured(1, 0.02))
    assert store.connection.latency == 0.02
    store.apply(LatencyMeasured(7, 0.5))
    assert store.connection.latency == 0.02, "another socket's latency is not ours"
    store.apply(
        changed(ConnectionState.RECONNECTING, reason="reset \x1b[31m", attempt=2, retry_in=1.5)
    )
    assert store.connection.latency is None
    assert store.connection.retry_at == 1001.5
    assert store.connection.reason == "reset \\x1b[31m"
    store.apply(FrameDropped(1, "not JSON", b"x", 3))
    store.apply(ServerQuiet(1, 120.0))
    lines = [line.text for line in store.log]
    assert lines[-2] == "unreadable frame dropped (not JSON); 3 so far"
    assert lines[-1] == "no word from the server for 120 s; it still answers pings"


def test_foreign_text_is_plain_everywhere() -> None:
    hostile = "[red]\x1b[2J\u202e" + "x" * 2000
    store = Store(Clock())
    store.apply(JobChanged(job(S.QUEUED, name=hostile, path="/" + hostile, domain=hostile), None))
    failed = job(S.FAILED, error=hostile, reason=hostile)
    store.apply(JobChanged(failed, S.QUEUED))
    store.apply(ProgressUnattributed(Progress(stage=1, status="x", message=hostile)))
    view = store.documents["j"]
    texts = [view.name, view.path, view.domain, view.error, view.reason]
    texts += [line.text for line in store.log]
    for text in texts:
        assert text is not None
        assert text.isprintable()
        assert len(text) <= 1000
    assert view.name.startswith("[red]\\x1b[2J\\u202e")


def test_the_log_is_bounded_and_counts_what_it_drops() -> None:
    log = LogBuffer(capacity=3)
    for number in range(5):
        log.append(0.0, "info", None, str(number))
    assert (log.first, log.end, log.dropped, len(log)) == (2, 5, 2, 3)
    assert log.line(1) is None
    assert log.line(5) is None
    assert [log.line(n).text for n in range(2, 5)] == ["2", "3", "4"]  # type: ignore[union-attr]


def test_a_kbv2_servers_own_words_name_its_stages() -> None:
    store = started(Clock())
    said = Progress(stage=4, status="started", message="Embedding chunks and entities")
    store.apply(JobProgressed("j", said, Attribution.INFERRED))
    store.apply(
        JobProgressed("j", Progress(5, "", "", label="entity_complete"), Attribution.INFERRED)
    )
    native = Progress(stage=6, status="started", message="connecting", request_id="r")
    store.apply(JobProgressed("j", native, Attribution.EXACT))
    titles = [span.title for span in store.documents["j"].spans]
    assert titles == ["Embedding chunks and entities", "entity complete", "build graph"]
