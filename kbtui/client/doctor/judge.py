"""Decisions about the way to the server: each from what was seen to a finding. Pure."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Mapping, Sequence, Set
from email.utils import parsedate_to_datetime
from statistics import median
from typing import Final

import msgspec

from kbtui.client.doctor.environment import HttpAnswer, TlsSession
from kbtui.client.doctor.findings import Finding, Status, failed, passed, warning
from kbtui.connection.classify import Failure, FailureKind
from kbtui.connection.states import Mode
from kbtui.protocol.messages import Response
from kbtui.protocol.methods import ChunkHits, Health, InvalidShape, shaped

DAY: Final = 86_400.0
EXPIRES_SOON: Final = 14 * DAY
CLOCK_LIMIT: Final = 5.0
SLOW_PING: Final = 1.0

CHECK_URL: Final = "check host and port in --server"

NOT_ANSWERED: Final = None
"""What a TCP attempt without an answer came to, where another has an errno and a success 0."""


def judge_addresses(host: str, addresses: Sequence[str]) -> Finding:
    """A host name's addresses."""
    if addresses == [host]:
        return passed(f"{host} is an address")
    return passed(f"{host} is {', '.join(addresses)}")


def judge_resolution_error(host: str, reason: str) -> Finding:
    """A host name without addresses."""
    return failed(
        f"{host} has no address: {reason}",
        "check the spelling in --server and this machine's DNS; a VPN may have to be on",
    )


def judge_tcp(port: int, attempts: Mapping[str, int | None], *, proxied: bool) -> Finding:
    """`attempts`: by address, 0 for a connection, an errno, or NOT_ANSWERED. `proxied`: they are
    a proxy's."""
    reached = [address for address, result in attempts.items() if result == 0]
    others = "; ".join(
        f"{address}: {_tcp_text(result)}" for address, result in attempts.items() if result != 0
    )
    if reached:
        more = f" ({others})" if others else ""
        return passed(f"port {port} at {reached[0]} accepts connections{more}")
    detail = f"no connection to port {port}: {others}"
    if proxied:
        step = (
            "correct the proxy variables (http_proxy, https_proxy), or name the server in no_proxy"
        )
        return failed(f"{detail} (the proxy's)", step)
    return failed(detail, _tcp_step(port, set(attempts.values())))


def _tcp_text(result: int | None) -> str:
    return "no answer" if result is None else os.strerror(result).lower()


def _tcp_step(port: int, results: Set[int | None]) -> str:
    if errno.ECONNREFUSED in results:
        return (
            f"nothing listens there: start the server, and check that it listens on port {port} "
            "and not on 127.0.0.1 only (a firewall that rejects looks the same)"
        )
    if NOT_ANSWERED in results:
        return (
            f"packets are dropped: let a firewall between here and the server pass TCP port {port},"
            " and check that the machine is up and the address right"
        )
    if results & {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}:
        return "there is no route: check this machine's network, and whether a VPN has to be on"
    return CHECK_URL


def judge_plain(*, near: bool, token: bool) -> Finding:
    """A URL that begins with ws://."""
    if near:
        return passed("no TLS, and none needed on this machine")
    if token:
        return warning(
            "no TLS: the token can be read on the way",
            "use wss://, or a tunnel to the server",
        )
    return passed("no TLS: what is sent can be read on the way")


def judge_tls(session: TlsSession, now: float) -> Finding:
    """A handshake that has succeeded: chain and host name are right. `now` in epoch seconds."""
    detail = f"{session.version}, certificate by {session.issuer}"
    if session.not_after is None:
        return passed(detail)
    left = session.not_after - now
    days = f"{detail}, valid for {left / DAY:.0f} days"
    if left < EXPIRES_SOON:
        return warning(days, "renew the server's certificate before it expires")
    return passed(days)


def judge_tls_error(error: OSError, host: str) -> Finding:
    """A handshake that has failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = error.verify_message
        return failed(f"the certificate is not accepted: {text}", _certificate_step(text, host))
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        reason = (getattr(error, "reason", None) or "TLS failed").replace("_", " ").lower()
        return failed(
            f"no TLS there: {reason}", "write ws:// where the server has no TLS; check the port"
        )
    return failed(
        f"the server ended the TLS handshake: {error.strerror or 'connection closed'}",
        "write ws:// where the server has no TLS; check the port",
    )


def _certificate_step(text: str, host: str) -> str:
    lowered = text.lower()
    if "expired" in lowered:
        return "renew the server's certificate, or check this machine's clock"
    if "not yet valid" in lowered:
        return "check this machine's clock and the server's"
    if "mismatch" in lowered or "not valid for" in lowered:
        return f"use the name that the certificate is for, or have one made for {host}"
    return "set SSL_CERT_FILE to a PEM file with the authority that signed the certificate"


def judge_health(answer: HttpAnswer) -> tuple[Finding, Health | None]:
    """What `GET /health` says; the second is its content where there is one."""
    step = "check the URL; a server without /health still works if the checks below pass"
    if answer.status != 200:
        return warning(f"GET /health is answered with HTTP {answer.status}", step), None
    try:
        health = msgspec.json.decode(answer.body, type=Health)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return warning("GET /health is answered with something else", step), None
    who = " ".join(part for part in (health.name, health.version) if part) or "a server"
    if health.status != "healthy":
        return warning(f"{who} says {health.status!r}", "look into the server's log"), health
    return passed(f"{who} is healthy"), health


def judge_no_health(reason: str) -> Finding:
    """No HTTP answer came."""
    return failed(
        f"no answer to GET /health: {reason}",
        "check that port and scheme (ws:// or wss://) are the knowledge base's; if they are, the "
        "server hangs: look into its log, restart it",
    )


def judge_upgrade(failure: Failure, *, token: bool, path: str) -> Finding:
    """A WebSocket that could not be opened."""
    detail = f"no WebSocket: {failure.detail}"
    if failure.kind is FailureKind.HTTP and failure.code is not None:
        return failed(detail, _status_step(failure.code, token=token, path=path))
    return failed(detail, _UPGRADE_STEPS.get(failure.kind, CHECK_URL))


_SCHEME_STEP: Final = "try wss:// in place of ws://, or the reverse; check the port"

_UPGRADE_STEPS: Final = {
    FailureKind.TIMEOUT: (
        "the server accepts connections but does not speak: it hangs or is overloaded (look into "
        "its log, restart it), or something else has the port"
    ),
    FailureKind.SCHEME: _SCHEME_STEP,
    FailureKind.HUNG_UP: f"{_SCHEME_STEP}; a port forwarder may have no server behind it",
    FailureKind.NOT_WEBSOCKET: "something between here and the server removes the upgrade headers: "
    "let the proxy pass WebSockets",
    FailureKind.REDIRECT: "write the address that the server redirects to into --server",
    FailureKind.CERTIFICATE: "set SSL_CERT_FILE to the authority that signed the certificate",
}


def _status_step(status: int, *, token: bool, path: str) -> str:
    where = f"check the path {path!r}: KBV2 and kbtui serve answer at /ws"
    if status == 401:
        if token:
            return "the server refuses this token: check the variable that --token-env names"
        return "the server wants a token: put it into a variable and name that with --token-env"
    if status == 407:
        return "the proxy wants a user and a password: put them into the proxy variable's URL"
    if 500 <= status <= 599:
        return (
            "a proxy in front of the server answers, or the server is broken: look whether it runs,"
            " and into its log"
        )
    steps = {
        400: f"{where}; a proxy may break the upgrade",
        403: f"{where}; if it is right, the server does not let this machine in",
        404: f"{where}; a proxy may not pass WebSockets on",
        405: where,
        426: "the server wants another protocol version: check its version and kbtui's",
        429: "the server is asked too often: wait a minute",
        200: f"{where}: a web page is there",
    }
    return steps.get(status, where)


def judge_protocol(mode: Mode, health: Health | None) -> Finding:
    """How the server is spoken to."""
    if mode is Mode.NATIVE:
        return passed(f"{mode}: resumes and never ingests twice")
    if health is not None and health.instance is not None:
        return warning(
            "KBV2, although the server knows kbtui.v1",
            "let the proxy pass the Sec-WebSocket-Protocol header",
        )
    return passed("KBV2: one document at a time; an answer lost with the connection stays unknown")


def judge_pings(seconds: Sequence[float], wanted: int) -> Finding:
    """Round trips of pings, in seconds."""
    if len(seconds) < wanted:
        return failed(
            f"{len(seconds)} of {wanted} pings were answered in time",
            "the link loses data, or the server hangs: look into its log; a proxy may cut "
            "WebSockets off",
        )
    middle, most = median(seconds), max(seconds)
    detail = f"{wanted} pings: median {middle * 1000:.1f} ms, longest {most * 1000:.1f} ms"
    if middle > SLOW_PING:
        return warning(detail, "the link is slow: kbtui works, with late progress")
    return passed(detail)


def judge_search(response: Response, seconds: float) -> Finding:
    """The answer to a search for one passage."""
    took = f"{seconds * 1000:.0f} ms"
    if response.error is not None:
        return warning(
            f"a search fails: {response.error}",
            "look into the server's log; its embedding or database may be down",
        )
    result = response.result
    if isinstance(result, dict) and "not implemented" in str(result.get("message", "")):
        return warning("the server answers, but has no search", "ingesting may work all the same")
    try:
        hits = shaped(ChunkHits, result)
    except InvalidShape:
        return warning(
            "the answer to a search is not understood", "check the server's version and kbtui's"
        )
    count = len(hits.chunks)
    vectors = all(hit.similarity is not None for hit in hits.chunks)
    if count and not vectors:
        return warning(
            f"a search takes {took}, but the hits have no similarity",
            "the server's embedding may have been down while it ingested: look into its log",
        )
    return passed(f"a search is answered in {took}" + ("" if count else "; nothing is stored yet"))


def judge_clock(date: str | None, asked_at: float) -> Finding:
    """The server's Date header against our clock at that moment (epoch seconds)."""
    if date is None:
        return Finding(Status.SKIP, "skipped because the server tells no time")
    try:
        # The header has whole seconds, cut off: half a second is the best guess at the rest.
        ahead = parsedate_to_datetime(date).timestamp() + 0.5 - asked_at
    except (ValueError, OverflowError):
        return Finding(Status.SKIP, "skipped because the server's time cannot be read")
    if abs(ahead) <= CLOCK_LIMIT:
        return passed("the clocks agree to within seconds")
    which = "ahead of" if ahead > 0 else "behind"
    return warning(
        f"the server's clock is {abs(ahead):.0f} s {which} this machine's",
        "set both by NTP: times in logs and certificates depend on it",
    )
