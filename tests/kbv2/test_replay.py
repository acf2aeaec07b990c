"""The replayed server answers as the recorded one did."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.kbv2.recordings import INGEST, TRANSCRIPTS, versions
from tests.kbv2.replay import Faults, ReplayServer

ROOT = Path(__file__).parents[2]
ALPHA = "/srv/kb/docs/alpha.md"
VARYING = {"timestamp", "duration", "document_id"}


@pytest.fixture(params=versions())
async def server(request):
    async with ReplayServer(request.param) as started:
        yield started


def ingest(path=ALPHA, request_id="i", **params):
    return json.dumps({"method": INGEST, "params": {"file_path": path, **params}, "id": request_id})


async def until_response(client):
    """The progress and the response that follow."""
    progress = []
    while "result" not in (frame := json.loads(await client.recv())):
        progress.append(frame)
    return progress, frame


def steady(frame):
    """A frame without what differs from one ingestion to the next."""
    frame = {key: value for key, value in frame.items() if key not in VARYING}
    if isinstance(frame.get("result"), dict):
        frame["result"] = {k: v for k, v in frame["result"].items() if k not in VARYING}
    if "message" in frame:
        frame["message"] = frame["message"].partition(" in 0.")[0].partition(" in 1.")[0]
        frame["message"] = frame["message"].partition(" after ")[0]
    return frame


def recorded(version, name):
    lines = (TRANSCRIPTS / version / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("name", ["queries", "missing_params", "unsupported_method", "malformed"])
async def test_calls_are_answered_as_recorded(server, name):
    compared = 0
    client = await connect(server.url)
    got = sent = None
    for line in recorded(server.recording.version, name):
        if line["dir"] == "send":
            sent = line["raw"]
            await client.send(sent)
            try:
                got = await client.recv()
            except ConnectionClosed:
                got = None
        elif line["dir"] == "recv":
            # The recordings leave out some long answers and hold strangers' progress.
            want = json.loads(line["raw"])
            if "result" in want:
                assert json.loads(got) == want, sent
                compared += 1
        elif line["dir"] == "closed" and "1006" in line["raw"]:
            assert got is None, sent
            client = await connect(server.url)
    assert compared
    await client.close()


async def test_ingestions_run_as_recorded(server):
    async with connect(server.url) as client:
        for line in recorded(server.recording.version, "ingest_success"):
            if line["dir"] == "send":
                await client.send(line["raw"])
            elif line["dir"] == "recv":
                want, got = json.loads(line["raw"]), json.loads(await client.recv())
                if want.get("result", {}).get("domain") not in (None, "technology"):
                    got["result"]["domain"] = want["result"]["domain"]  # the server's guess
                assert steady(got) == steady(want)
    assert server.ingestions[ALPHA] == server.completed[ALPHA] == 2


@pytest.mark.parametrize("kind", ["missing", "folder", "empty"])
async def test_bad_files_fail_as_recorded(server, kind, tmp_path):
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    async with connect(server.url) as client:
        await client.send(ingest(str(path), document_name="Mine"))
        progress, response = await until_response(client)
    assert progress[0]["message"] == "Starting ingestion of Mine"
    assert progress[-1]["status"] == "failed"
    assert response["result"] is None
    assert response["error"].startswith("Error processing kbv2/ingest_document: ")
    if kind != "empty":
        assert str(path) in response["error"]
    assert server.completed[str(path)] == 0


async def test_a_file_of_this_machine_gets_a_document_of_its_own(server, tmp_path):
    path = tmp_path / "mine.md"
    path.write_text("text")
    async with connect(server.url) as client:
        results = []
        for _ in range(2):
            await client.send(ingest(str(path), domain="d"))
            _, response = await until_response(client)
            results.append(response["result"])
    assert results[0]["document_id"] != results[1]["document_id"]
    assert results[0] == results[1] | {key: results[0][key] for key in ("document_id", "duration")}
    assert (results[0]["document_name"], results[0]["domain"]) == ("mine.md", "d")


async def test_progress_goes_to_who_connected_last_and_the_answer_to_who_asked(server):
    server.faults.hold_after = 3
    async with connect(server.url) as first:
        await first.send(ingest())
        await server.holding.wait()
        async with connect(server.url, max_queue=None) as second:
            server.release()
            progress, response = await until_response(first)
            assert len(progress) == 3
            assert response["id"] == "i"
            assert "message" in json.loads(await second.recv())


async def test_one_connection_is_strictly_in_order(server):
    server.faults.hold_after = 1
    async with connect(server.url) as client:
        await client.send(ingest(request_id="first"))
        await client.send('{"method":"kbv2/nope","params":{},"id":"second"}')
        await server.holding.wait()
        assert len(server.requests) == 1
        server.release()
        assert (await until_response(client))[1]["id"] == "first"
        assert (await until_response(client))[1]["id"] == "second"


async def test_a_disconnect_cancels_the_queue_but_not_the_ingestion(server):
    server.faults.hold_after = 2
    async with connect(server.url) as client:
        await client.send(ingest())
        await client.send(ingest("/srv/kb/docs/beta.txt"))
        await server.holding.wait()
        client.transport.abort()
    server.release()
    for _ in range(1000):
        await asyncio.sleep(0)
    assert server.ingestions == server.completed == {ALPHA: 1}


@pytest.mark.parametrize("code", [None, 1011])
async def test_a_drop_after_so_many_frames(server, code):
    server.faults = Faults(drop_after=2, close_code=code)
    async with connect(server.url) as client:
        await client.send(ingest())
        await client.recv()
        await client.recv()
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert (closed.value.rcvd and closed.value.rcvd.code) == code


async def test_the_port_refuses_after_a_termination_until_the_next_start(server):
    client = await connect(server.url)
    await server.terminate()
    with pytest.raises(ConnectionClosed) as closed:
        await client.recv()
    assert closed.value.rcvd.code == 1012
    with pytest.raises(OSError, match=r"."):
        await connect(server.url)
    await server.start()
    async with connect(server.url):
        pass


@pytest.mark.parametrize("path", ["/nope", "/", "/ws/", "/WS"])
async def test_other_paths_are_forbidden(server, path):
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{server.port}{path}")
    assert refused.value.response.status_code == 403


async def http_get(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def test_http_is_as_recorded(server):
    status, body = await http_get(server.port, "/health")
    assert (status, json.loads(body)["status"]) == (200, "healthy")
    assert (await http_get(server.port, "/ws"))[0] == 404
    assert (await http_get(server.port, "/else"))[0] == 404


async def test_as_a_process_of_its_own():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.kbv2.replay", "--version", versions()[-1],
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    url = line.removeprefix("listening on ").strip()
    async with connect(url) as client:
        await client.send(ingest())
        assert (await until_response(client))[1]["error"] is None
        port = int(url.split(":")[2].split("/")[0])
        counts = json.loads((await http_get(port, "/replay"))[1])
        assert counts == {"ingestions": {ALPHA: 1}, "completed": {ALPHA: 1}}
        process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd.code == 1012
    assert await process.wait() == 0
