"""The doctor's decisions: from what was seen to what is said."""

from __future__ import annotations

import errno
import sqlite3
import ssl
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbtui.client.doctor import Status, judge, judge_local
from kbtui.client.doctor.environment import HttpAnswer, TlsSession
from kbtui.client.doctor.judge_local import MIB, Place, Sight
from kbtui.connection.classify import Failure, FailureKind
from kbtui.protocol.messages import Response
from kbtui.server.parsing.reader import MAX_BYTES

PASS, WARN, FAIL, SKIP = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP
DAY = 86_400.0
NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("attempts", "status", "word"),
    [
        ({"127.0.0.1": 0}, PASS, ""),
        ({"::1": errno.ECONNREFUSED, "127.0.0.1": 0}, PASS, ""),
        ({"10.0.0.1": errno.ECONNREFUSED}, FAIL, "nothing listens there"),
        ({"10.0.0.1": judge.NOT_ANSWERED}, FAIL, "firewall"),
        ({"10.0.0.1": errno.EHOSTUNREACH}, FAIL, "no route"),
        ({"10.0.0.1": errno.EACCES}, FAIL, "check host and port"),
    ],
)
def test_tcp(attempts: dict[str, int | None], status: Status, word: str) -> None:
    finding = judge.judge_tcp(8765, attempts, proxied=False)
    assert finding.status is status
    assert word in finding.next_step
    if status is FAIL:
        assert "no_proxy" in judge.judge_tcp(3128, attempts, proxied=True).next_step


@pytest.mark.parametrize(
    ("left", "status"), [(400 * DAY, PASS), (14.1 * DAY, PASS), (13.9 * DAY, WARN), (60.0, WARN)]
)
def test_a_certificate_that_ends_soon(left: float, status: Status) -> None:
    finding = judge.judge_tls(TlsSession("TLSv1.3", "An Authority", NOW + left), NOW)
    assert finding.status is status
    assert "An Authority" in finding.detail


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ("certificate has expired", "renew"),
        ("certificate is not yet valid", "clock"),
        ("Hostname mismatch, certificate is not valid for 'a'.", "kb.example.org"),
        ("self-signed certificate", "SSL_CERT_FILE"),
    ],
)
def test_a_certificate_that_is_refused(message: str, word: str) -> None:
    error = ssl.SSLCertVerificationError(message)
    error.verify_message = message
    finding = judge.judge_tls_error(error, "kb.example.org")
    assert finding.status is FAIL
    assert word in finding.next_step


def test_no_tls_at_the_other_end() -> None:
    for error in (
        ssl.SSLError(1, "wrong version number"),
        ssl.SSLEOFError(),
        ConnectionResetError(),
    ):
        assert "ws://" in judge.judge_tls_error(error, "h").next_step
    assert judge.judge_plain(near=False, token=True).status is WARN
    assert judge.judge_plain(near=True, token=True).status is PASS


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (200, "web page"),
        (400, "path"),
        (401, "wants a token"),
        (403, "'/kb'"),
        (404, "/ws"),
        (407, "proxy"),
        (426, "version"),
        (429, "wait"),
        (502, "proxy in front"),
        (599, "log"),
        (418, "path"),
    ],
)
def test_each_status_of_an_upgrade_has_its_next_step(status: int, word: str) -> None:
    failure = Failure(FailureKind.HTTP, f"HTTP {status}", status)
    finding = judge.judge_upgrade(failure, token=False, path="/kb")
    assert finding.status is FAIL
    assert str(status) in finding.detail
    assert word in finding.next_step


def test_a_refused_token_is_told_from_a_missing_one() -> None:
    failure = Failure(FailureKind.HTTP, "HTTP 401", 401)
    assert "refuses this token" in judge.judge_upgrade(failure, token=True, path="/ws").next_step


@given(st.sampled_from(list(FailureKind)), st.booleans())
def test_every_failure_has_a_next_step(kind: FailureKind, token: bool) -> None:
    finding = judge.judge_upgrade(Failure(kind, "why"), token=token, path="/ws")
    assert finding.status is FAIL
    assert finding.next_step


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"status":"healthy","version":"1.0.0","name":"KB"}', PASS),
        (200, b'{"status":"starting"}', WARN),
        (200, b"<html>", WARN),
        (200, b"\xff", WARN),
        (404, b"", WARN),
    ],
)
def test_health(status: int, body: bytes, expected: Status) -> None:
    assert judge.judge_health(HttpAnswer(status, body, None, NOW))[0].status is expected


@pytest.mark.parametrize(
    ("result", "error", "expected"),
    [
        ({"chunks": [], "total_count": 0, "query": "q", "limit": 1, "domain": None}, None, PASS),
        ({"message": "Method 'kbv2/search_chunks' not implemented"}, None, WARN),
        (None, "Error processing kbv2/search_chunks: no embedding", WARN),
        ({"surprise": 1}, None, WARN),
        (None, None, WARN),
    ],
)
def test_search(result: Any, error: str | None, expected: Status) -> None:
    assert judge.judge_search(Response("1", result, error), 0.01).status is expected


@given(st.floats(-1e9, 1e9))
def test_clock(ahead: float) -> None:
    finding = judge.judge_clock(formatdate(NOW + ahead, usegmt=True), NOW)
    if abs(ahead) < 4:
        assert finding.status is PASS
    if abs(ahead) > 6:
        assert finding.status is WARN
        assert ("ahead" if ahead > 0 else "behind") in finding.detail


@given(st.text())
def test_a_strange_date_is_no_error(date: str) -> None:
    assert judge.judge_clock(date, NOW).status in (PASS, WARN, SKIP)


@given(st.lists(st.floats(0, 100), max_size=5))
def test_pings(seconds: list[float]) -> None:
    finding = judge.judge_pings(seconds, 5)
    assert (finding.status is FAIL) == (len(seconds) < 5)


def test_folders_disk_memory_and_journal() -> None:
    log = judge_local.judge_folders({"/log": "read-only"}, log="/log")
    assert (log.status, "--log-file" in log.next_step) == (WARN, True)
    both = judge_local.judge_folders({"/log": "x", "/state": "y"}, log="/log")
    assert both.status is FAIL
    sizes = [(10 * MIB, FAIL), (200 * MIB, WARN), (10_000 * MIB, PASS)]
    for size, status in sizes:
        assert judge_local.judge_disk({"/a": 10**13, "/b": size}).status is status
    for memory, embedded, status in [
        (100 * MIB, True, WARN),
        (100 * MIB, False, PASS),
        (None, True, PASS),
    ]:
        limits = judge_local.judge_limits(memory, embedded=embedded, message_bytes=16 * MIB)
        assert limits.status is status
        assert "16 MiB" in limits.detail
    assert judge_local.judge_journal("/s", 2, 1).status is FAIL
    assert judge_local.judge_journal("/s", None, 1).status is PASS
    locked = sqlite3.OperationalError("database is locked")
    assert judge_local.judge_journal_error("/s", locked).status is WARN
    damaged = sqlite3.DatabaseError("file is not a database")
    assert "damaged" in judge_local.judge_journal_error("/s", damaged).next_step


def test_the_embedded_server_reads_what_is_said() -> None:
    assert judge_local.EMBEDDED_MOST == MAX_BYTES


@pytest.mark.parametrize(
    ("sight", "place", "expected"),
    [
        (Sight("/a", True, True, 10), Place.EMBEDDED, PASS),
        (Sight("/a", True, True, 1 << 40), Place.EMBEDDED, FAIL),
        (Sight("/a", True, True, None), Place.HERE, PASS),
        (Sight("/a", True, True, 10), Place.ELSEWHERE, WARN),
        (Sight("/a", True, True, 10), Place.ANYWHERE, PASS),
        (Sight("/a", False, False, None), Place.ANYWHERE, FAIL),
        (Sight("/a", False, False, None), Place.HERE, FAIL),
        (Sight("/a", False, False, None), Place.ELSEWHERE, WARN),
        (Sight("/a", True, False, 10), Place.EMBEDDED, FAIL),
    ],
)
def test_paths(sight: Sight, place: Place, expected: Status) -> None:
    finding = judge_local.judge_path(sight, place, "ws://h/ws", "/there/a")
    assert finding.status is expected
    assert "/there/a" in finding.detail


@pytest.mark.parametrize(
    ("token", "status"),
    [("s3cret-token", PASS), ("s3cret\n", FAIL), (" s3cret", FAIL), ("a b", WARN), ("tök", WARN)],
)
def test_token(token: str, status: Status) -> None:
    finding = judge_local.judge_token(token)
    assert finding.status is status
    assert token.strip() not in finding.detail + finding.next_step
