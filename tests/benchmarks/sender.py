"""A WebSocket server that sends progress frames as fast as they are taken; a process of its own.

`python -m tests.benchmarks.sender` prints its URL; it ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys

from websockets.utils import accept_key

FRAME_BYTES = 250
BLOCK = 500


def block() -> bytes:
    """Some frames, of FRAME_BYTES each, as they are on the wire."""
    frames = []
    for number in range(BLOCK):
        report = {"type": "progress", "stage": number % 9 + 0.5, "status": "started"}
        report |= {"message": "", "total_stages": 9}
        report["message"] = "x" * (FRAME_BYTES - len(json.dumps(report)))
        payload = json.dumps(report).encode()
        frames.append(b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload)
    return b"".join(frames)


async def main() -> None:
    """Serve until the standard input ends."""
    frames = block()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0].decode()
            lines = (
                "HTTP/1.1 101 Switching Protocols",
                "Upgrade: websocket",
                "Connection: Upgrade",
                f"Sec-WebSocket-Accept: {accept_key(key)}",
            )
            writer.write("\r\n".join((*lines, "", "")).encode())
            while True:
                writer.write(frames)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
