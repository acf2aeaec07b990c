"""Files that clients send: in pieces, checked, bounded, and gone when they are not needed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbtui.protocol.methods import INGEST, UPLOAD, UploadParams
from kbtui.server.errors import IngestError
from kbtui.server.uploads import Uploads, file_name
from tests.resuming import in_store
from tests.serving import Client, client, serving

TEXT = b"# Sent\n\nThis document came over the wire, in pieces, to be kept.\n"
SHA256 = hashlib.sha256(TEXT).hexdigest()


def uploads_in(data: Path) -> list[str]:
    return sorted(
        str(path.relative_to(data / "uploads"))
        for path in (data / "uploads").rglob("*")
        if path.name != "lent"
    )


async def send(peer: Client, offset: int, piece: bytes, **other: Any) -> dict[str, Any]:
    params = {"sha256": SHA256, "size": len(TEXT), "offset": offset, **other}
    return await peer.call(UPLOAD, data=base64.b64encode(piece).decode(), **params)


async def test_a_file_is_sent_ingested_and_removed(tmp_path: Path) -> None:
    kb, nowhere = tmp_path / "kb", tmp_path / "root"
    nowhere.mkdir()
    asked: dict[str, Any] = {
        "file_path": "/home/ann/notes/sent.md",
        "sha256": SHA256,
        "idempotency_key": "k",
    }
    async with serving(kb, nowhere) as url, client(url, native=True) as native:
        assert "outside the folders" in (await native.call(INGEST, **asked))["error"]
        asked |= {"upload": "auto", "attempt": 2}
        wanted = (await native.call(INGEST, **asked))["result"]
        assert (wanted["status"], wanted["document_id"]) == ("upload_wanted", "")
        held = (await send(native, 0, TEXT[:20]))["result"]
        assert held == {"offset": 20, "complete": False}
        # Out of order, or the same again: nothing is written, and where to go on is told.
        for offset in (0, 10, 30):
            assert (await send(native, offset, TEXT[offset:]))["result"]["offset"] == 20
    # The server restarts; what it has it keeps.
    async with serving(kb, nowhere) as url, client(url, native=True) as native:
        assert (await send(native, 0, b""))["result"] == {"offset": 20, "complete": False}
        assert (await native.call(INGEST, **asked))["result"]["status"] == "upload_wanted"
        whole = {"offset": len(TEXT), "complete": True}
        assert (await send(native, 20, TEXT[20:]))["result"] == whole
        assert (await send(native, 0, b""))["result"] == whole
    async with serving(kb, nowhere) as url, client(url, native=True) as native:
        done = (await native.call(INGEST, **asked))["result"]
        assert (done["status"], done["document_name"]) == ("completed", "sent.md")
        assert uploads_in(kb) == []
        again = {"sha256": SHA256, "upload": "auto", "on_duplicate": "skip"}
        known = (await native.call(INGEST, file_path="/other.md", **again))["result"]
        assert known["status"] == "duplicate"
    assert in_store(kb) == 1
    with sqlite3.connect(kb / "knowledge.db") as connection:
        (metadata,) = connection.execute("SELECT metadata FROM documents").fetchone()
    connection.close()
    assert json.loads(metadata)["path"] == "/home/ann/notes/sent.md"


async def test_other_bytes_than_announced_are_not_kept(tmp_path: Path) -> None:
    async with serving(tmp_path, tmp_path) as url, client(url, native=True) as native:
        wrong = await send(native, 0, TEXT.replace(b"wire", b"road"))
        assert wrong["result"] == {"offset": 0, "complete": False}
        assert uploads_in(tmp_path) == []
        assert (await send(native, 0, TEXT))["result"]["complete"]


async def test_what_is_sent_is_bounded(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, tmp_path, max_upload=100) as url,
        client(url, native=True) as native,
    ):
        for piece, params, word in (
            (b"", {"size": 101}, "up to 100"),
            (b"", {"size": 0}, "up to 100"),
            (b"", {"sha256": "../../etc/passwd"}, "64 hexadecimal"),
            (b"", {"offset": -1}, "not within"),
            (b"x" * 101, {}, "not within"),
        ):
            assert word in (await send(native, params.pop("offset", 0), piece, **params))["error"]
        for number in range(6):
            answer = await send(native, 0, b"", sha256=f"{number:064}", size=100)
            assert ("too many" in (answer["error"] or "")) is (number >= 4)
        assert uploads_in(tmp_path) == []


async def test_errors_name_the_clients_file_not_ours(tmp_path: Path) -> None:
    data = b"this is no PDF"
    sha256 = hashlib.sha256(data).hexdigest()
    async with serving(tmp_path, tmp_path) as url, client(url, native=True) as native:
        await send(native, 0, data, sha256=sha256, size=len(data))
        asked = {"file_path": "/x/broken.pdf", "sha256": sha256, "upload": "always"}
        error = (await native.call(INGEST, **asked))["error"]
        assert "broken.pdf" in error
        assert str(tmp_path) not in error
        assert uploads_in(tmp_path) == []


async def test_a_visible_file_of_the_same_content_is_not_asked_for(
    tmp_path: Path, documents: Path
) -> None:
    path = documents / "tea.md"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    asked: dict[str, Any] = {"file_path": str(path)}
    async with serving(tmp_path, documents) as url, client(url, native=True) as native:
        for upload, content, status in (
            ("auto", sha256, "completed"),
            ("auto", SHA256, "upload_wanted"),
            ("always", sha256, "upload_wanted"),
        ):
            answer = await native.call(INGEST, **asked, sha256=content, upload=upload)
            assert answer["result"]["status"] == status


async def test_abandoned_files_are_removed(tmp_path: Path) -> None:
    now = 1000.0
    uploads = Uploads(tmp_path, abandoned_after=60, clock=lambda: now)
    whole = UploadParams(SHA256, len(TEXT), data=TEXT)
    part = UploadParams("0" * 64, 10, data=b"12345")
    await uploads.take(whole)
    await uploads.take(part)
    async with uploads.lend(SHA256, "d", "a.md") as path:
        assert path.read_bytes() == TEXT
        now += 61
        assert (await uploads.take(UploadParams("1" * 64, 10))).offset == 0
        assert not (tmp_path / ("0" * 64 + ".part")).exists()
        assert path.read_bytes() == TEXT
        # A second user of the same content, who is cancelled: the file may be needed again.
        with pytest.raises(asyncio.CancelledError):
            async with uploads.lend(SHA256, "e", "b.txt"):
                raise asyncio.CancelledError
    assert not uploads.holds(SHA256)
    await uploads.take(whole)
    with pytest.raises(IngestError):
        async with uploads.lend(SHA256, "d", "a.md"):
            raise IngestError(1, "unreadable")
    assert not uploads.holds(SHA256)
    assert [path.name for path in tmp_path.iterdir()] == ["lent"]
    await uploads.aclose()


async def test_they_are_removed_also_if_nobody_comes(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, abandoned_after=0.01)
    await uploads.take(UploadParams(SHA256, len(TEXT), data=TEXT[:10]))
    async with asyncio.timeout(30):
        while (tmp_path / f"{SHA256}.part").exists():
            await asyncio.sleep(0.01)
    await uploads.aclose()


async def test_a_client_that_goes_away_while_its_piece_is_written(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    for offset in range(0, len(TEXT), 7):
        params = UploadParams(SHA256, len(TEXT), offset, TEXT[offset : offset + 7])
        gone = asyncio.create_task(uploads.take(params))
        for _ in range(offset % 4):
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        result = await uploads.take(params)
        assert result.offset == min(offset + 7, len(TEXT))
    assert uploads.holds(SHA256)
    assert (tmp_path / SHA256).read_bytes() == TEXT
    await uploads.aclose()


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(TEXT)), st.integers(0, 30), st.sampled_from(["", "bad", "restart"])
        ),
        max_size=12,
    )
)
def test_pieces_in_any_order_never_make_another_file(
    pieces: list[tuple[int, int, str]],
) -> None:
    async def play(folder: Path) -> None:
        uploads = Uploads(folder)
        spoilt = False
        for offset, length, event in pieces:
            if event == "restart":
                await uploads.aclose()
                uploads = Uploads(folder)
            piece = TEXT[offset : offset + length]
            held = (await uploads.take(UploadParams(SHA256, len(TEXT)))).offset
            if event == "bad":
                piece = b"?" * len(piece)
                spoilt = spoilt or (offset == held and piece != b"")
            result = await uploads.take(UploadParams(SHA256, len(TEXT), offset, piece))
            assert not (result.complete and spoilt)
            spoilt = spoilt and result.offset > 0
        # Sent on from where it stands it is complete in the end, after one more round at most.
        for _ in range(2):
            held = (await uploads.take(UploadParams(SHA256, len(TEXT)))).offset
            await uploads.take(UploadParams(SHA256, len(TEXT), held, TEXT[held:]))
        assert uploads.holds(SHA256)
        assert (folder / SHA256).read_bytes() == TEXT
        await uploads.aclose()

    with TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))


@given(st.text(max_size=300))
def test_a_clients_path_becomes_a_harmless_name(path: str) -> None:
    name = file_name(path)
    assert name not in ("", ".", "..")
    assert "/" not in name
    assert name.isprintable()
    assert len(name.encode()) <= 200


def test_the_ending_of_a_name_is_kept() -> None:
    assert file_name("C:\\docs\\Report.PDF") == "Report.PDF"
    assert file_name("/a/" + "x" * 400 + ".docx").endswith("xxx.docx")
    assert file_name("/a/..") == "document"
