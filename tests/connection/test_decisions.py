"""The pure parts: what to do about a failure, and how long to wait."""

from __future__ import annotations

import errno
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.exceptions import (
    InvalidMessage,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    SecurityError,
)
from websockets.http11 import Response

from kbtui.connection import Backoff, ConnectError, Endpoint, FatalConnectError
from kbtui.connection.classify import Failure, FailureKind, Fatal, History, Retry, classify
from kbtui.connection.failures import failure_of
from kbtui.connection.states import TRANSITIONS, ConnectionState
from kbtui.connection.transport import LinkClosed

K = FailureKind
NEVER = History()
ONCE = History().connected()


def decide(history, *failures, every=1.0):
    """The decision on the last of `failures`, `every` seconds apart."""
    for number, failure in enumerate(failures):
        history = history.after(failure, number * every)
    return classify(failures[-1], history)


def failed(kind, code=None, retry_after=None):
    return Failure(kind, "why", code, retry_after)


@pytest.mark.parametrize("history", [NEVER, ONCE])
@pytest.mark.parametrize(
    "failure",
    [
        failed(K.CERTIFICATE),
        failed(K.BAD_URL),
        failed(K.SOURCE_FATAL),
        failed(K.GARBAGE),
        *(failed(K.HTTP, status) for status in (401, 403, 407)),
        *(failed(K.CLOSED, code) for code in (1008, 4401, 4403)),
    ],
)
def test_fatal_at_once(history, failure):
    assert isinstance(decide(history, failure), Fatal)


@pytest.mark.parametrize("history", [NEVER, ONCE])
@pytest.mark.parametrize(
    "failure",
    [
        failed(K.NETWORK),
        failed(K.TIMEOUT),
        failed(K.SOURCE),
        failed(K.NO_PONG, 1006),
        failed(K.SEND_STUCK, 1006),
        *(failed(K.HTTP, status) for status in (408, 425, 429, 500, 502, 503, 504)),
        *(failed(K.CLOSED, code) for code in (1000, 1001, 1005, 1006, 1009, 1011, 1012, 3000)),
    ],
)
def test_retried_for_ever(history, failure):
    assert isinstance(decide(history, *[failure] * 500), Retry)


@pytest.mark.parametrize(
    "failure",
    [failed(K.HTTP, s) for s in (200, 404, 426, 301)]
    + [failed(K.NOT_WEBSOCKET), failed(K.REDIRECT)],
)
def test_a_wrong_service_is_fatal_unless_it_was_the_right_one_before(failure):
    assert isinstance(decide(NEVER, failure), Fatal)
    assert isinstance(decide(ONCE, *[failure] * 300), Retry)
    assert isinstance(decide(ONCE, *[failure] * 301), Fatal)
    other = failed(K.NETWORK)
    assert isinstance(decide(ONCE, *[failure] * 300, other, failure), Retry)


@pytest.mark.parametrize("kind", [K.DNS, K.SCHEME, K.INTERNAL])
def test_three_in_a_row_are_fatal(kind):
    failure = failed(kind)
    assert isinstance(decide(NEVER, failure, failure), Retry)
    assert isinstance(decide(NEVER, failure, failure, failure), Fatal)
    assert isinstance(decide(NEVER, failure, failure, failed(K.NETWORK), failure), Retry)


@pytest.mark.parametrize("kind", [K.DNS, K.HUNG_UP])
def test_a_server_that_was_there_will_be_again(kind):
    assert isinstance(decide(ONCE, *[failed(kind)] * 1000), Retry)


def test_a_server_that_hangs_up_has_ten_seconds_to_come_up():
    failure = failed(K.HUNG_UP)
    assert isinstance(decide(NEVER, *[failure] * 10), Retry)
    assert isinstance(decide(NEVER, *[failure] * 11), Fatal)


@pytest.mark.parametrize("code", [1002, 1003, 1007])
def test_three_protocol_errors_in_five_minutes_are_fatal(code):
    failure = failed(K.CLOSED, code)
    history = NEVER
    for at in (0, 200, 400, 600):
        history = history.connected().after(failure, at)
        assert isinstance(classify(failure, history), Retry)
    history = history.connected().after(failure, 650)
    assert isinstance(classify(failure, history), Fatal)


@pytest.mark.parametrize(
    ("failure", "low", "high"),
    [
        (failed(K.CLOSED, 1012), 0.5, 2.0),
        (failed(K.CLOSED, 1013), 5.0, 10.0),
        (failed(K.HTTP, 503, retry_after=20.0), 20.0, 25.0),
        (failed(K.HTTP, 429, retry_after=-5.0), 1.0, 2.0),
        (failed(K.HTTP, 503, retry_after=1e9), 300.0, 305.0),
        (failed(K.CLOSED, 1011), 0.125, 0.25),
    ],
)
@given(seed=st.integers())
def test_the_first_wait(failure, low, high, seed):
    random = Random(seed)
    verdict = decide(ONCE, failure)
    assert isinstance(verdict, Retry)
    assert low <= verdict.delay(Backoff().delay(0, random), random) <= high


@given(seed=st.integers(), attempt=st.integers(0, 10**9))
def test_backoff_is_within_its_bounds(seed, attempt):
    longest = min(15.0, 0.25 * 1.6 ** min(attempt, 100))
    assert longest / 2 <= Backoff().delay(attempt, Random(seed)) <= longest


failures = st.builds(
    Failure,
    kind=st.sampled_from(FailureKind),
    detail=st.text(max_size=20),
    code=st.none() | st.integers(0, 5000),
    retry_after=st.none() | st.floats(allow_nan=False),
)


@given(steps=st.lists(st.tuples(failures, st.floats(0, 1000), st.booleans()), max_size=50))
def test_every_history_leads_to_a_decision(steps):
    history, now = NEVER, 0.0
    for failure, pause, connected in steps:
        now += pause
        history = (history.connected() if connected else history).after(failure, now)
        verdict = classify(failure, history)
        assert len(history.protocol_errors) <= 3
        if isinstance(verdict, Fatal):
            assert verdict.sentence or not failure.detail
        else:
            assert 0 <= verdict.delay(0.1, Random(0)) <= 330


def http_error(status, headers=()):
    return InvalidStatus(Response(status, "", Headers(headers), b""))


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (http_error(401), K.HTTP, 401),
        (InvalidProxyStatus(Response(407, "", Headers(), b"")), K.HTTP, 407),
        (InvalidProxyStatus(Response(502, "", Headers(), b"")), K.NETWORK, None),
        (SecurityError("more than 3 redirects"), K.REDIRECT, None),
        (caused(InvalidMessage("x"), EOFError()), K.HUNG_UP, None),
        (caused(InvalidMessage("x"), ValueError("bad status line")), K.SCHEME, None),
        (InvalidUpgrade("Connection"), K.NOT_WEBSOCKET, None),
        (InvalidURI("x", "secret"), K.BAD_URL, None),
        (ValueError("port"), K.BAD_URL, None),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), K.DNS, None),
        (ssl.SSLCertVerificationError("expired"), K.CERTIFICATE, None),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), K.SCHEME, None),
        (ConnectionResetError(), K.HUNG_UP, None),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), K.NETWORK, None),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 111] b"), K.NETWORK, None),
        (OSError(errno.EMFILE, "x"), K.NETWORK, None),
        (TimeoutError(), K.TIMEOUT, None),
        (TimeoutError(errno.ETIMEDOUT, "x"), K.NETWORK, None),
        (ConnectError("not yet"), K.SOURCE, None),
        (FatalConnectError("never"), K.SOURCE_FATAL, None),
        (KeyError("x"), K.INTERNAL, None),
    ],
)
def test_exceptions_become_failures(error, kind, code):
    failure = failure_of(error)
    assert (failure.kind, failure.code) == (kind, code)
    assert failure.detail
    assert "secret" not in failure.detail


def test_an_errno_is_named():
    assert failure_of(OSError(errno.EMFILE, "")).detail.endswith("(EMFILE)")
    assert "ECONNREFUSED" in failure_of(OSError(f"x [Errno {errno.ECONNREFUSED}] y")).detail


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [("12", 12, 12), (" 0 ", 0, 0), ("9" * 400, 1e8, 1e9), ("soon", None, None)],
)
def test_retry_after_in_seconds(value, low, high):
    wait = failure_of(http_error(503, [("Retry-After", value)])).retry_after
    assert wait is low is None or low <= wait <= high


def test_retry_after_as_a_date():
    value = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    wait = failure_of(http_error(503, [("Retry-After", value)])).retry_after
    assert wait is not None
    assert 50 < wait <= 60


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("ws://localhost:1/ws", True),
        ("ws://LOCALHOST./ws", True),
        ("ws://a.localhost/ws", True),
        ("ws://127.9.9.9/ws", True),
        ("wss://[::1]:8/ws", True),
        ("ws://10.0.0.1/ws", False),
        ("ws://localhost.example/ws", False),
        ("ws://[broken/ws", False),
        ("", False),
    ],
)
def test_loopback(url, loopback):
    assert Endpoint(url).is_loopback is loopback


def test_every_state_can_be_closed_and_every_state_reached():
    reached = {state for following in TRANSITIONS.values() for state in following}
    assert reached == set(ConnectionState) - {ConnectionState.DISCONNECTED}
    for state, following in TRANSITIONS.items():
        final = state in (ConnectionState.CLOSING, ConnectionState.CLOSED)
        assert final or ConnectionState.CLOSING in following


@given(code=st.integers(0, 5000), reason=st.text(max_size=130))
def test_a_close_is_told_in_words(code, reason):
    text = str(LinkClosed(code, reason))
    assert str(code) in text
    assert reason in text
