"""The parser process: reads requests from stdin, answers on stdout, ends when stdin does.

Native parsers can crash, hang or take the interpreter's lock for long, so they run apart from the
server. Run as `python -m kbtui.server.parsing.child`; numpy and onnxruntime never load here.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from kbtui.server.parsing.messages import (
    LENGTH,
    Chunk,
    Failed,
    Parsed,
    ParseRequest,
    Progress,
    decode_request,
    frame,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kbtui.server.parsing.messages import Answer


def parse(request: ParseRequest, send: Callable[[Answer], None]) -> None:
    """Reads, cuts and extracts from one file, sending progress, chunks and the result."""
    from kbtui.server.entities.extract import Extractor
    from kbtui.server.parsing.chunking import cut
    from kbtui.server.parsing.document import UnreadableError
    from kbtui.server.parsing.reader import read_document

    def pages(current: int, total: int) -> None:
        send(Progress(1, "reading pages", current, total))

    stage = 1
    try:
        send(Progress(1, "reading the file"))
        document = read_document(Path(request.path), request.sha256, pages)
        count = len(document.page_starts) if document.page_starts is not None else None
        words = len(document.text.split())
        read = f"{document.kind}, words: {words:,}" + (f", pages: {count}" if count else "")
        send(Progress(1, read, count or 1, count or 1, done=True))
        stage = 2
        send(Progress(2, "cutting chunks"))
        chunks = cut(document)
        for number, chunk in enumerate(chunks, 1):
            send(chunk)
            send(Progress(2, "cutting chunks", number, len(chunks)))
        windows = sum(len(chunk.windows) for chunk in chunks)
        made = f"chunks: {len(chunks)}, windows: {windows}"
        send(Progress(2, made, len(chunks), len(chunks), done=True))
        stage = 3
        send(Progress(3, "extracting entities (rule-based)"))
        extractor = Extractor()
        for number, chunk in enumerate(chunks):
            extractor.read(number, chunk.text)
            send(Progress(3, "extracting entities (rule-based)", number + 1, len(chunks)))
        entities, relations = extractor.finish()
        found = f"entities: {len(entities)}, relations: {len(relations)} (rule-based)"
        send(Progress(3, found, len(chunks), len(chunks), done=True))
    except UnreadableError as error:
        send(Failed(stage, str(error)))
        return
    except MemoryError:
        send(Failed(stage, f"not enough memory to read the file: {_name(request)}"))
        return
    except Exception as error:  # noqa: BLE001 - any failure is this document's, not the process's
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        send(Failed(stage, f"the file cannot be read ({reason}): {_name(request)}"))
        return
    headings = [heading.title for heading in document.headings[:200]]
    send(
        Parsed(
            document.kind,
            document.title,
            count,
            len(document.text),
            words,
            headings,
            entities,
            relations,
        )
    )


def _name(request: ParseRequest) -> str:
    from kbtui.server.parsing.reader import shown

    return shown(request.path)


def _requests(stream: BinaryIO) -> Iterator[ParseRequest]:
    while len(head := stream.read(LENGTH.size)) == LENGTH.size:
        body = stream.read(LENGTH.unpack(head)[0])
        yield decode_request(body)


def main() -> None:
    """Answers requests one after another until stdin ends."""
    # A signal to the whole group is for the server: it finishes its work, then closes our stdin.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Whatever a library prints must not get between our messages.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[ParseRequest] = queue.SimpleQueue()

    def listen() -> None:
        for request in _requests(sys.stdin.buffer):
            requests.put(request)
        # The server is gone, or wants us gone: at once, even in the middle of a document.
        os._exit(0)

    threading.Thread(target=listen, name="requests", daemon=True).start()

    def send(answer: Answer) -> None:
        answers.write(frame(answer))
        if not isinstance(answer, Chunk):
            answers.flush()

    while True:
        parse(requests.get(), send)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        os._exit(0)
