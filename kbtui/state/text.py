"""Foreign text made fit for a screen: no control characters, no escapes, no endless lines."""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_LINE: Final = 1000
"""Where a line is cut for display: beyond this, terminals and layouts begin to crawl."""


def plain(text: str, limit: int = MAX_LINE) -> str:
    """`text` as one line of visible characters, at most `limit` of them.

    Control, format (bidirectional overrides among them) and surrogate characters are shown as
    `\\xNN` or `\\uNNNN`; line breaks and tabs become one space. Markup is not interpreted here nor
    by the widgets that draw the result.
    """
    shortened = text[: limit + 1]
    if not shortened.isprintable():
        shortened = "".join(_visible(character) for character in shortened)
    return shortened if len(shortened) <= limit else shortened[: limit - 1] + "…"


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn"):
        code = ord(character)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return character
