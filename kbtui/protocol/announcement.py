"""How a running embedded server tells the clients of the same user where it is."""

from __future__ import annotations

from typing import Final

import msgspec

ANNOUNCEMENT_FILE: Final = "server.json"
"""In the data folder, readable by its owner only: it holds the token."""

SERVER_LOCK_FILE: Final = "server.lock"
"""Locked (flock) by a server for as long as it lives, so that a leftover announcement is known."""


class Announcement(msgspec.Struct, frozen=True):
    """Where a server listens and the token that it wants ("": none); `pid` is its process."""

    url: str
    token: str
    pid: int
    version: str

    def __repr__(self) -> str:
        return f"Announcement(url={self.url!r}, pid={self.pid})"


def encode_announcement(announcement: Announcement) -> bytes:
    """The announcement file's content."""
    return msgspec.json.encode(announcement)


def decode_announcement(data: bytes) -> Announcement | None:
    """The announcement in a file's content, or None where it holds none."""
    try:
        return msgspec.json.decode(data, type=Announcement)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
