"""Takes secrets out of text: known tokens, bearer tokens, tokens in URLs, users and passwords."""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import quote, quote_plus

from kbtui.state.text import plain

MASK: Final = "***"

SHORTEST: Final = 4
"""A shorter token is found in ordinary words: taking it out would hide the text, not the token."""

_PATTERNS: Final = (
    (
        re.compile(
            r"(?i)\b(bearer\s+|authorization['\"]?\s*[:=]\s*['\"]?(?:(?:bearer|basic)\s+)?)"
            r"(?!(?:tokens?|authentication|authorization|bearer|basic)\b)[^\s\"',;]+"
        ),
        rf"\1{MASK}",
    ),
    # User and password before the host; a `@` further on belongs to the password too.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#\"'<>]*@"), rf"\1{MASK}@"),
    (
        re.compile(
            r"(?i)(?<![a-z0-9])((?:[a-z]+[_-])?(?:token|api[_-]?key|secret|password|passwd))="
            r"[^\s&;#\"']+"
        ),
        rf"\1={MASK}",
    ),
)

_known: list[str] = []


def keep_secret(secret: str) -> None:
    """Have `redact` take `secret` out from now on, however it is quoted."""
    forms = {
        secret,
        secret.strip(),
        repr(secret)[1:-1],
        repr(secret.encode("utf-8", "replace"))[2:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe="", errors="replace"),
        quote_plus(secret, errors="replace"),
    }
    fresh = forms - set(_known)
    _known.extend(form for form in fresh if len(form) >= SHORTEST)
    # The longest first: one form may be a part of another.
    _known.sort(key=len, reverse=True)


def redact(text: str) -> str:
    """`text` with each secret in it as `***`."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def shown(text: str) -> str:
    """Foreign text for a person: without secrets, one line of visible characters."""
    return plain(redact(text))
