"""What the server and its parser process say to each other, and how it is framed."""

from __future__ import annotations

import struct
from typing import Final

import msgspec

LENGTH: Final = struct.Struct(">I")
"""Every message is preceded by its length in bytes, 32 bits, big-endian."""


class ParseRequest(msgspec.Struct, frozen=True, tag="parse"):
    """Read this file; it must hash to `sha256`."""

    path: str
    sha256: str


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """Where stage 1, 2 or 3 is: `current` of `total` where there is a count, `done` at its end."""

    stage: int
    message: str
    current: int | None = None
    total: int | None = None
    done: bool = False


class Window(msgspec.Struct, frozen=True):
    """A stretch of text short enough for the embedder."""

    text: str
    heading: str | None
    page: int | None


class Chunk(msgspec.Struct, frozen=True, tag="chunk"):
    """A stretch of text for display, and the windows it is made of."""

    text: str
    heading: str | None
    page: int | None
    windows: list[Window]


class Entity(msgspec.Struct, frozen=True):
    """Something named in the document. `chunks` maps chunk numbers to mentions there;
    `aliases` are other names defined for it, such as an acronym."""

    key: str
    name: str
    type: str
    description: str
    confidence: float
    aliases: list[str]
    chunks: dict[int, int]


class Relation(msgspec.Struct, frozen=True):
    """A connection between two entity keys of the document, and how often it was seen."""

    source: str
    target: str
    type: str
    count: int


class Parsed(msgspec.Struct, frozen=True, tag="parsed"):
    """The end of a successful parse; the chunks came before."""

    kind: str
    title: str | None
    pages: int | None
    characters: int
    words: int
    headings: list[str]
    entities: list[Entity]
    relations: list[Relation]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The document cannot be read: the stage and one line for people."""

    stage: int
    message: str


Answer = Progress | Chunk | Parsed | Failed

encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(ParseRequest).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


def frame(message: msgspec.Struct) -> bytes:
    """A message with its length in front."""
    body = encode(message)
    return LENGTH.pack(len(body)) + body
