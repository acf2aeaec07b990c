"""The queue's decisions, as functions of what is known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbtui.ingest.decide import attribute, duplicate_of, outcome_of
from kbtui.ingest.events import Attribution
from kbtui.ingest.jobs import (
    ENDED,
    TRANSITIONS,
    IllegalTransition,
    Job,
    JobState,
    check_transition,
)
from kbtui.protocol.messages import Progress, Response

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def job(job_id: str, state: JobState) -> Job:
    return Job(job_id, f"/{job_id}.md", f"{job_id}.md", None, "s", job_id, state, 0.0)


@pytest.mark.parametrize(
    ("result", "error", "state"),
    [
        ({"document_id": "d", "status": "completed"}, None, JobState.COMPLETED),
        ({"document_id": "d"}, None, JobState.COMPLETED),
        ({"document_id": "d", "status": "duplicate"}, None, JobState.SKIPPED),
        ({"document_id": "d", "status": "failed"}, None, JobState.FAILED),
        ({"document_id": "d"}, "", JobState.FAILED),
        ({"message": "Method 'x' not implemented"}, None, JobState.FAILED),
        (None, None, JobState.FAILED),
        (None, "Error processing kbv2/ingest_document: no such file", JobState.FAILED),
        ([], None, JobState.FAILED),
        ({"document_id": None}, None, JobState.FAILED),
    ],
)
def test_what_an_answer_means(result: Any, error: str | None, state: JobState) -> None:
    outcome = outcome_of(Response("1", result, error))
    assert outcome.state is state
    if state is JobState.FAILED:
        assert outcome.error


def test_the_envelope_of_an_error_is_taken_off() -> None:
    error = "Error processing kbv2/ingest_document: no such file"
    assert outcome_of(Response("1", None, error)).error == "no such file"


@given(result=JSON, error=st.none() | st.text(max_size=8))
def test_success_always_names_a_document(result: Any, error: str | None) -> None:
    outcome = outcome_of(Response("1", result, error))
    assert outcome.state in ENDED
    if outcome.state in (JobState.COMPLETED, JobState.SKIPPED):
        assert error is None
        assert outcome.document_id is not None


def progress(request_id: str | None) -> Progress:
    return Progress(stage=1, status="started", message="", request_id=request_id)


@given(
    outstanding=st.dictionaries(st.sampled_from("abcd"), st.sampled_from("JKLM"), max_size=4),
    request_id=st.none() | st.sampled_from("abcdx"),
)
def test_no_bar_moves_on_a_guess(outstanding: dict[str, str], request_id: str | None) -> None:
    owner = attribute(progress(request_id), outstanding)
    if request_id is not None:
        known = outstanding.get(request_id)
        assert owner == (None if known is None else (known, Attribution.EXACT))
    elif len(outstanding) == 1:
        assert owner == (next(iter(outstanding.values())), Attribution.INFERRED)
    else:
        assert owner is None


def test_duplicates_by_the_journal() -> None:
    mine = job("mine", JobState.QUEUED)
    done, failed, lost = (
        job("done", JobState.COMPLETED),
        job("failed", JobState.FAILED),
        job("lost", JobState.UNKNOWN),
    )
    assert duplicate_of(mine, [mine, failed], resubmit_unknown=False) is None
    found = duplicate_of(mine, [failed, done], resubmit_unknown=False)
    assert found is not None
    assert (found.state, found.reason) == (JobState.SKIPPED, "duplicate of done.md")
    unsure = duplicate_of(mine, [lost], resubmit_unknown=False)
    assert unsure is not None
    assert unsure.state is JobState.UNKNOWN
    assert duplicate_of(mine, [lost], resubmit_unknown=True) is None


def test_transitions() -> None:
    assert set(TRANSITIONS) == set(JobState)
    assert TRANSITIONS[JobState.COMPLETED] == frozenset(), "what is completed is never done again"
    check_transition(JobState.QUEUED, JobState.SUBMITTING)
    with pytest.raises(IllegalTransition):
        check_transition(JobState.QUEUED, JobState.RUNNING)
