"""Fault 23: a thousand clients that lost one server come back to it."""

from __future__ import annotations

from bisect import bisect_left
from random import Random

import pytest

from kbtui.connection import Backoff
from kbtui.connection.classify import Failure, FailureKind, History, Retry, classify

CLIENTS = 1000
LOST = Failure(FailureKind.CLOSED, "lost", 1006)
REFUSED = Failure(FailureKind.NETWORK, "refused")


def arrival(seed, first, outage):
    """When one client is back, in seconds after the loss, by the policy alone."""
    random, now, failure = Random(seed), 0.0, first
    history = History().connected()
    attempt = 0
    while True:
        history = history.after(failure, now)
        verdict = classify(failure, history)
        assert isinstance(verdict, Retry)
        now += verdict.delay(Backoff().delay(attempt, random), random)
        if now >= outage:
            return now
        attempt, failure = attempt + 1, REFUSED


def peak(first, outage):
    """The largest share of the clients within any one second."""
    times = sorted(arrival(seed, first, outage) for seed in range(CLIENTS))
    return max(bisect_left(times, at + 1) - n for n, at in enumerate(times)) / CLIENTS


@pytest.mark.parametrize("outage", [30, 60, 300, 3600])
@pytest.mark.parametrize("code", [1006, 1011, 1012])
def test_fault_23_the_crowd_comes_back_spread_out(outage, code):
    assert peak(Failure(FailureKind.CLOSED, "lost", code), outage) <= 0.25


@pytest.mark.parametrize(
    "turned_away",
    [
        Failure(FailureKind.CLOSED, "overloaded", 1013),
        Failure(FailureKind.HTTP, "HTTP 503", 503, retry_after=20.0),
        Failure(FailureKind.HTTP, "HTTP 429", 429, retry_after=1e6),
    ],
)
def test_fault_23_a_crowd_that_was_turned_away_comes_back_spread_out(turned_away):
    assert peak(turned_away, 0) <= 0.25
