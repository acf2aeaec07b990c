"""The server as its clients see it: envelope, order, progress, joining, refusals."""

from __future__ import annotations

import asyncio
import json
import stat
import urllib.error
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kbtui.protocol.announcement import ANNOUNCEMENT_FILE
from kbtui.protocol.methods import DOCUMENT_STATUS, INGEST, SEARCH_CHUNKS, SEARCH_ENTITIES
from kbtui.server.app import ServeError
from kbtui.server.lifecycle import AlreadyRunning
from tests.make_data import mixed_folder
from tests.serving import client, serving


def get(url: str, path: str) -> tuple[int, str]:
    address = url.replace("ws://", "http://").removesuffix("/ws") + path
    try:
        with urllib.request.urlopen(address) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_health_and_other_paths(tmp_path: Path) -> None:
    async with serving(tmp_path, tmp_path) as url:
        status, body = await asyncio.to_thread(get, url, "/health")
        assert status == 200
        health = json.loads(body)
        assert health["status"] == "healthy"
        assert set(health) >= {"status", "version", "name", "instance"}
        assert (await asyncio.to_thread(get, url, "/ws"))[0] == 404
        assert (await asyncio.to_thread(get, url, "/elsewhere"))[0] == 404
        with pytest.raises(InvalidStatus) as refused:
            async with client(url + "/"):
                pass
        assert refused.value.response.status_code == 403
        async with client(url + "?x"):
            pass


async def test_kbv2_ingestion_has_kbv2s_frames(tmp_path: Path, documents: Path) -> None:
    async with serving(tmp_path, documents) as url, client(url) as kbv2:
        assert kbv2.connection.subprotocol is None
        path = str(documents / "tea.md")
        await kbv2.send(INGEST, "r-1", file_path=path, document_name="Tea", domain="drinks")
        response, progress = await kbv2.answer("r-1")
        assert set(response) == {"result", "error", "id"}
        assert response["error"] is None
        result = response["result"]
        assert result["document_name"] == "Tea"
        assert result["domain"] == "drinks"
        assert result["status"] == "completed"
        assert result["document_id"]
        assert result["duration"] > 0
        for frame in progress:
            assert frame["type"] == "progress"
            assert isinstance(frame["stage"], int | float)
            assert isinstance(frame["status"], str)
            assert isinstance(frame["message"], str)
            assert "request_id" not in frame
        assert {"timestamp", "duration"} <= set(progress[0])
        assert {"timestamp", "duration"} <= set(progress[-1])
        assert (progress[-1]["stage"], progress[-1]["status"]) == (9, "completed")
        stages = [(f["stage"], f["status"]) for f in progress if f["status"] != "progress"]
        for stage in range(1, 10):
            assert (stage, "started") in stages
            assert (stage, "completed") in stages


async def test_native_progress_names_its_request_and_document(
    tmp_path: Path, documents: Path
) -> None:
    async with serving(tmp_path, documents) as url, client(url, native=True) as native:
        assert native.connection.subprotocol == "kbtui.v1"
        names = ["tea.md", "tidal.pdf", "beekeeping.docx"]
        for name in names:
            await native.send(INGEST, name, file_path=str(documents / name))
        frames: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        responses: dict[str, dict[str, Any]] = {}
        while len(responses) < 3:
            frame = await native.frame()
            if "result" in frame:
                responses[frame["id"]] = frame
            else:
                frames[frame["request_id"]].append(frame)
        for name in names:
            document_id = responses[name]["result"]["document_id"]
            assert {frame["document_id"] for frame in frames[name]} == {document_id}
            sequence = [frame["sequence"] for frame in frames[name]]
            assert sequence == list(range(1, len(sequence) + 1))
            counted = [frame for frame in frames[name] if "current" in frame]
            assert counted
            assert all(0 <= frame["current"] <= frame["total"] for frame in counted)


async def test_a_kbv2_connection_is_served_in_order(tmp_path: Path, documents: Path) -> None:
    async with serving(tmp_path, documents) as url, client(url) as kbv2:
        await kbv2.send(INGEST, "first", file_path=str(documents / "tidal.pdf"))
        await kbv2.send(SEARCH_CHUNKS, "second", query="tides")
        response, before = await kbv2.answer("second")
        assert any(frame.get("id") == "first" for frame in before)
        assert response["result"]["chunks"]


async def test_a_native_search_does_not_wait_for_an_ingestion(
    tmp_path: Path, documents: Path
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    files = mixed_folder(folder, 12)
    async with serving(tmp_path / "kb", tmp_path) as url, client(url, native=True) as native:
        for number, path in enumerate(files):
            await native.send(INGEST, f"doc {number}", file_path=str(path))
        await native.send(SEARCH_CHUNKS, "search", query="report")
        _, before = await native.answer("search")
        assert sum("result" in frame for frame in before) < len(files)


async def test_searches_find_what_was_ingested(tmp_path: Path, documents: Path) -> None:
    async with serving(tmp_path, documents) as url, client(url) as kbv2:
        await kbv2.call(INGEST, file_path=str(documents / "beekeeping.docx"))
        found = (await kbv2.call(SEARCH_CHUNKS, query="varroa mites", limit=3))["result"]
        hit = found["chunks"][0]
        assert hit["document_name"] == "beekeeping.docx"
        assert "Varroa" in hit["text"]
        assert 0 < hit["similarity"] <= 1
        assert set(found) == {"chunks", "total_count", "query", "limit", "domain"}
        entities = (await kbv2.call(SEARCH_ENTITIES, query="Langstroth"))["result"]["entities"]
        assert any("Langstroth" in entity["name"] for entity in entities)
        assert isinstance(json.loads(entities[0]["properties"]), dict)


async def test_errors_have_the_envelope_too(tmp_path: Path, documents: Path) -> None:
    async with serving(tmp_path, documents) as url, client(url) as kbv2:
        answer = await kbv2.call(INGEST, 7, file_path=str(documents / "nothing.md"))
        assert answer["result"] is None
        assert answer["id"] == 7
        assert answer["error"].startswith(f"Error processing {INGEST}: the file is gone")
        assert "not implemented" in (await kbv2.call("kbv2/unheard_of"))["error"]
        assert "file_path" in (await kbv2.call(INGEST))["error"]
        assert "limit" in (await kbv2.call(SEARCH_CHUNKS, query="x", limit=0))["error"]
        await kbv2.connection.send("{ not json")
        broken = await kbv2.frame()
        assert broken["id"] is None
        assert "JSON" in broken["error"]


async def test_only_files_under_the_roots_are_read(tmp_path: Path, documents: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    secret = tmp_path / "secret.txt"
    secret.write_text("outside of the root, and not to be read")
    (inside / "link.txt").symlink_to(secret)
    async with serving(tmp_path / "kb", inside) as url, client(url) as kbv2:
        for path in (
            secret,
            inside / ".." / "secret.txt",
            inside / "link.txt",
            documents / "tea.md",
        ):
            error = (await kbv2.call(INGEST, file_path=str(path)))["error"]
            assert "outside the folders" in error
        missing = (await kbv2.call(INGEST, file_path=str(tmp_path / "nowhere.md")))["error"]
        assert "outside the folders" in missing, "whether a file exists outside is not told"
        assert "NUL" in (await kbv2.call(INGEST, file_path="a\x00b"))["error"]


async def test_a_web_page_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, tmp_path) as url:
        for origin in ("http://evil.example", "null", url.replace("ws", "http", 1)):
            with pytest.raises(InvalidStatus) as refused:
                async with client(url, origin=origin):
                    pass
            assert refused.value.response.status_code == 403


async def test_a_token_is_demanded(tmp_path: Path) -> None:
    async with serving(tmp_path, tmp_path, token="sesame") as url:
        for headers in ({}, {"Authorization": "Bearer simsim"}, {"Authorization": "sesame"}):
            with pytest.raises(InvalidStatus) as refused:
                async with client(url, additional_headers=headers):
                    pass
            assert refused.value.response.status_code == 401
        async with client(url, additional_headers={"Authorization": "Bearer sesame"}):
            pass
        assert (await asyncio.to_thread(get, url, "/health"))[0] == 200


async def test_other_machines_are_served_with_a_token_only(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="token"):
        async with serving(tmp_path, host="0.0.0.0"):
            pass


async def test_one_server_a_data_folder(tmp_path: Path) -> None:
    async with serving(tmp_path, private=True):
        mode = (tmp_path / ANNOUNCEMENT_FILE).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        with pytest.raises(AlreadyRunning):
            async with serving(tmp_path):
                pass
    assert not (tmp_path / ANNOUNCEMENT_FILE).exists()


async def test_the_same_key_joins_and_replays(tmp_path: Path, documents: Path) -> None:
    path = str(documents / "tidal.pdf")
    async with serving(tmp_path, documents) as url:
        async with client(url, native=True) as first:
            await first.send(INGEST, "a", file_path=path, idempotency_key="k")
            await first.frame()
        # The connection is gone, the ingestion is not: the next one listens to it.
        async with client(url, native=True) as second:
            joined = await second.call(INGEST, "b", file_path=path, idempotency_key="k")
            replayed = await second.call(INGEST, "c", file_path="/gone", idempotency_key="k")
            assert joined["result"]["document_id"] == replayed["result"]["document_id"]
            assert replayed["result"]["status"] == "completed"


async def test_duplicates_are_told_only_to_those_who_ask(tmp_path: Path, documents: Path) -> None:
    path = str(documents / "tea.md")
    async with serving(tmp_path, documents) as url, client(url, native=True) as native:
        for number in range(2):
            await native.send(INGEST, f"d{number}", file_path=path, on_duplicate="skip")
        last, before = await native.answer("d1")
        if not any(frame.get("id") == "d0" for frame in before):
            before.append((await native.answer("d0"))[0])
        answers = [f["result"] for f in (last, *before) if "result" in f]
        assert sorted(a["status"] for a in answers) == ["completed", "duplicate"]
        assert len({a["document_id"] for a in answers}) == 1
        again = (await native.call(INGEST, file_path=path))["result"]
        assert again["status"] == "completed"
        assert again["document_id"] != answers[0]["document_id"]
        other = await native.call(INGEST, file_path=path, domain="x", on_duplicate="skip")
        assert other["result"]["status"] == "completed"


async def test_a_changed_file_is_not_ingested_under_the_old_hash(
    tmp_path: Path, documents: Path
) -> None:
    async with serving(tmp_path, documents) as url, client(url, native=True) as native:
        path = str(documents / "tea.md")
        error = (await native.call(INGEST, file_path=path, sha256="0" * 64))["error"]
        assert "has changed" in error


async def test_document_status(tmp_path: Path, documents: Path) -> None:
    async with serving(tmp_path, documents) as url, client(url) as kbv2:
        done = (await kbv2.call(INGEST, file_path=str(documents / "tea.md")))["result"]
        status = (await kbv2.call(DOCUMENT_STATUS, document_id=done["document_id"]))["result"]
        assert status["status"] == "completed"
        status = (await kbv2.call(DOCUMENT_STATUS, document_id="unheard-of"))["result"]
        assert status["status"] == "not_found"


async def test_stopping_says_service_restart(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        async with serving(tmp_path) as url:
            kbv2 = await stack.enter_async_context(client(url))
        with pytest.raises(ConnectionClosed) as closed:
            await kbv2.frame()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


async def test_it_ends_with_its_last_user(tmp_path: Path) -> None:
    from kbtui.server import app

    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    options = app.ServeOptions(data=tmp_path, port=0, idle_exit=0.05)
    server = asyncio.create_task(app.run(options, ready.set_result))
    url = await ready
    async with client(url), client(url):
        pass
    async with asyncio.timeout(10):
        await server
