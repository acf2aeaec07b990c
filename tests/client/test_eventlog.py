"""What the log says of connection and documents: each transition once, everything else sampled."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from kbtui.client.eventlog import EventLog
from kbtui.connection import FrameDropped, LateAnswer, LatencyMeasured
from kbtui.ingest.events import Attribution, JobChanged, JobProgressed, ProgressUnattributed
from kbtui.ingest.jobs import Job, JobState
from kbtui.protocol.messages import Progress, Response

JOB = Job(
    "j1", "/a/tea.md", "tea.md", None, "s", "k", JobState.RUNNING, 0.0, 10, None, 1, 0.0, None,
    None, None, None, False,
)  # fmt: skip


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "kbtui.events")


def test_a_transition_has_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    events = EventLog()
    events.ingest(JobChanged(JOB, JobState.SUBMITTING))
    failed = replace(JOB, state=JobState.FAILED, error="no such file")
    events.ingest(JobChanged(failed, JobState.RUNNING))
    assert told(caplog) == [
        ("INFO", "tea.md: submitting -> running"),
        ("WARNING", "tea.md: running -> failed (no such file)"),
    ]
    fields = vars(caplog.records[1])
    assert (fields["job_id"], fields["path"], fields["state"]) == ("j1", "/a/tea.md", "failed")
    assert fields["error"] == "no such file"
    assert "document_id" not in fields


def test_progress_is_told_when_the_stage_changes(caplog: pytest.LogCaptureFixture) -> None:
    events = EventLog()
    for number in range(1000):
        progress = Progress(3.0 + number // 500, "started", f"chunk {number}")
        events.ingest(JobProgressed("j1", progress, Attribution.INFERRED))
        events.ingest(ProgressUnattributed(progress))
    assert [text for _, text in told(caplog)] == [
        "progress: chunk 0", "progress: chunk 0", "progress: chunk 500", "progress: chunk 500",
    ]  # fmt: skip
    caplog.set_level(logging.INFO, "kbtui.events")
    events.ingest(JobProgressed("j2", Progress(1.0, "started", "quiet"), Attribution.EXACT))
    assert len(caplog.records) == 4


def test_dropped_frames_are_told_ever_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    events = EventLog()
    for count in range(1, 1025):
        events.connection(FrameDropped(1, "no JSON", b"\x1b[2J", count))
    assert len(caplog.records) == 11
    assert "\x1b" not in caplog.text
    events.connection(LatencyMeasured(1, 0.002))
    events.connection(LateAnswer(1, Response("r", {})))
    assert [level for level, _ in told(caplog)][-2:] == ["DEBUG", "INFO"]
