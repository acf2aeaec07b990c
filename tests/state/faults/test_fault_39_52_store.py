"""Faults 39 and 52: progress out of order, and text that would like to be more than text."""

from __future__ import annotations

import pytest

from kbtui.connection import (
    ConnectionState,
    FrameDropped,
    MessageReceived,
    Mode,
    StateChanged,
)
from kbtui.ingest.events import Attribution, JobChanged, JobProgressed, ProgressUnattributed
from kbtui.ingest.jobs import Job, JobState
from kbtui.protocol.codec import parse_message
from kbtui.protocol.messages import ExtractionLog, Progress
from kbtui.state.store import Store

S = JobState
HOSTILE = "[bold red]x[/] \x1b[2J\x1b]0;t\x07 \u202egnp.exe \r\n\t\x00\x9b31m"


def job(state: JobState, **more: str) -> Job:
    return Job("j", "/docs/a.md", "a.md", None, "server", "key", state, 0.0, **more)


def running() -> Store:
    store = Store()
    store.apply(JobChanged(job(S.QUEUED), None))
    store.apply(JobChanged(job(S.RUNNING), S.QUEUED))
    return store


@pytest.mark.parametrize("attribution", list(Attribution))
def test_fault_39_a_bar_never_goes_back(attribution: Attribution) -> None:
    store = running()
    seen = 0.0
    for stage in (0, 1, 5, 2, 9, 3, 0, 9, 1):
        for status in ("started", "completed", "failed", "started"):
            progress = Progress(stage=stage, status=status, message="m")
            store.apply(JobProgressed("j", progress, attribution))
            fraction = store.documents["j"].fraction
            assert seen <= fraction < 1
            seen = fraction


@pytest.mark.parametrize("attribution", list(Attribution))
@pytest.mark.parametrize("end", [S.COMPLETED, S.FAILED, S.UNKNOWN])
def test_fault_39_progress_after_the_end_is_logged_and_moves_nothing(
    attribution: Attribution, end: JobState
) -> None:
    store = running()
    store.apply(JobChanged(job(end), S.RUNNING))
    view = store.documents["j"]
    before = (view.fraction, view.stage, view.state, len(view.spans))
    store.apply(JobProgressed("j", Progress(5, "started", "too late"), attribution))
    assert (view.fraction, view.stage, view.state, len(view.spans)) == before
    assert "too late" in list(store.log)[-1].text


@pytest.mark.parametrize("native", [False, True])
def test_fault_52_a_servers_text_is_shown_and_never_interpreted(native: bool) -> None:
    mode = Mode.NATIVE if native else Mode.KBV2
    store = running()
    lost = StateChanged(
        *(ConnectionState.RECONNECTING, ConnectionState.CONNECTED, 1, mode),
        url="ws://h/ws",
        reason=HOSTILE,
        attempt=1,
        retry_in=1.0,
    )
    progress = Progress(3, "started", HOSTILE, label=HOSTILE)
    message = parse_message(HOSTILE)
    store.apply(lost)
    store.apply(JobProgressed("j", progress, Attribution.INFERRED))
    store.apply(ProgressUnattributed(progress))
    store.apply(MessageReceived(1, ExtractionLog(None, HOSTILE, HOSTILE, {"message": HOSTILE})))
    store.apply(FrameDropped(1, getattr(message, "reason", ""), HOSTILE.encode(), 1))
    store.apply(JobChanged(job(S.FAILED, error=HOSTILE, reason=HOSTILE), S.RUNNING))
    view = store.documents["j"]
    texts = [line.text for line in store.log] + [span.title for span in view.spans]
    texts += [view.error or "", view.reason or "", view.message, store.connection.reason or ""]
    for text in texts:
        assert text.isprintable()
    shown = view.error or ""
    assert shown.startswith("[bold red]x[/] \\x1b[2J\\x1b]0;t\\x07 \\u202egnp.exe")
