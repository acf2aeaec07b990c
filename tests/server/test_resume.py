"""A client that comes back: attaching, replaying, other attempts, other documents, cancelling."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbtui.protocol.messages import Progress
from kbtui.protocol.methods import CANCEL, DOCUMENT_STATUS, INGEST, IngestParams
from kbtui.server.errors import KnowledgeBaseError
from kbtui.server.ingestion import KEPT_COUNTS, History, Ingestion
from kbtui.server.knowledge_base import KnowledgeBase
from kbtui.server.register import ENDED_KEPT, ENDED_SECONDS, Register
from tests.resuming import in_store, long_document
from tests.serving import Client, client, serving

Frame = dict[str, Any]


async def until(peer: Client, stage: float) -> list[Frame]:
    """The frames up to the first of a stage."""
    frames = [await peer.frame()]
    while frames[-1].get("stage") != stage:
        frames.append(await peer.frame())
    return frames


def milestones(frames: list[Frame]) -> list[tuple[int, float, str]]:
    return [(f["sequence"], f["stage"], f["status"]) for f in frames if f["status"] != "progress"]


async def test_who_comes_back_gets_what_it_missed_and_nothing_twice(
    tmp_path: Path, documents: Path
) -> None:
    asked: Frame = {"file_path": str(documents / "tidal.pdf"), "idempotency_key": "k"}
    async with serving(tmp_path / "kb", documents) as url:
        async with client(url, native=True) as first:
            await first.send(INGEST, "a", **asked)
            seen = await until(first, 3)
        last = seen[-1]
        more = {"document_id": last["document_id"], "from_sequence": last["sequence"]}
        async with client(url, native=True) as second:
            await second.send(INGEST, "b", **asked, **more)
            response, rest = await second.answer("b")
            await second.send(INGEST, "c", **asked)
            again, everything = await second.answer("c")
        assert response["result"] == again["result"]
        assert rest[0]["sequence"] == last["sequence"] + 1
        assert {frame["request_id"] for frame in rest} == {"b"}
        assert milestones(seen + rest) == milestones(everything)
        numbers = [frame["sequence"] for frame in seen + rest]
        assert numbers == sorted(set(numbers))
        stages = [(stage, status) for _, stage, status in milestones(everything)]
        assert stages[0] == (0, "started")
        assert stages.count((9, "completed")) == 2, "the stage's end, and KBV2's second one"
    assert in_store(tmp_path / "kb") == 1


async def test_who_comes_back_in_the_middle_of_a_stage_hears_it_go_on(tmp_path: Path) -> None:
    asked: Frame = {
        "file_path": str(long_document(tmp_path / "long.md")),
        "idempotency_key": "k",
    }
    async with serving(tmp_path / "kb", tmp_path) as url:
        async with client(url, native=True) as first:
            await first.send(INGEST, "a", **asked)
            last = (await until(first, 5))[-1]
        async with client(url, native=True) as second:
            more = {"document_id": last["document_id"], "from_sequence": last["sequence"]}
            await second.send(INGEST, "b", **asked, **more)
            after = [await second.frame() for _ in range(3)]
            assert [frame["sequence"] - last["sequence"] for frame in after] == [1, 2, 3]
            assert {frame["status"] for frame in after} == {"progress"}
            await second.call(CANCEL, "c", idempotency_key="k")


@pytest.mark.parametrize("error", [OSError("no disk"), KnowledgeBaseError("cannot be read")])
async def test_a_store_in_trouble_ends_an_ingestion_too(
    tmp_path: Path, documents: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(KnowledgeBase, "find_by_content", fail)
    asked = {"file_path": str(documents / "tea.md"), "on_duplicate": "skip"}
    async with serving(tmp_path / "kb", documents) as url, client(url, native=True) as native:
        await native.send(INGEST, "a", **asked)
        answer, frames = await native.answer("a")
        word = "internal error" if isinstance(error, OSError) else "cannot be read"
        assert word in answer["error"]
        status = await native.call(DOCUMENT_STATUS, document_id=frames[0]["document_id"])
        assert status["result"]["status"] == "failed"
        monkeypatch.undo()
        assert (await native.call(INGEST, **asked))["result"]["status"] == "completed"


async def test_what_another_run_reported_hides_nothing(tmp_path: Path, documents: Path) -> None:
    asked: Frame = {"file_path": str(documents / "tea.md"), "idempotency_key": "k"}
    async with serving(tmp_path / "kb", documents) as url, client(url, native=True) as native:
        before_restart = {"document_id": "of an earlier run", "from_sequence": 1000}
        await native.send(INGEST, "a", **asked, **before_restart)
        _, frames = await native.answer("a")
        await native.send(INGEST, "b", **asked, **before_restart)
        _, replayed = await native.answer("b")
        assert frames[0]["sequence"] == replayed[0]["sequence"] == 1


async def test_a_key_belongs_to_one_document(tmp_path: Path, documents: Path) -> None:
    tea, sha256 = str(documents / "tea.md"), "0" * 64
    for restarted in (False, True):
        async with serving(tmp_path / "kb", documents) as url, client(url, native=True) as native:
            if not restarted:
                stored = await native.call(INGEST, file_path=tea, idempotency_key="k", domain="d")
            for other in ({"domain": "e"}, {}, {"domain": "d", "sha256": sha256}):
                answer = await native.call(
                    INGEST, file_path=tea, idempotency_key="k", attempt=2, **other
                )
                assert "key belongs to another content or domain" in answer["error"]
            same = await native.call(INGEST, file_path=tea, idempotency_key="k", domain="d")
            assert same["result"] == stored["result"]
    assert in_store(tmp_path / "kb") == 1


async def test_a_failure_is_replayed_and_only_a_new_attempt_runs_again(tmp_path: Path) -> None:
    path = tmp_path / "late.md"
    asked: Frame = {"file_path": str(path), "idempotency_key": "k"}
    async with serving(tmp_path / "kb", tmp_path) as url, client(url, native=True) as native:
        failed = await native.call(INGEST, **asked)
        assert "the file is gone" in failed["error"]
        path.write_text("# Late\n\nIt is there after all.\n")
        await native.send(INGEST, "b", **asked)
        replayed, frames = await native.answer("b")
        assert replayed["error"] == failed["error"]
        assert [(f["stage"], f["status"]) for f in frames] == [(9, "failed")]
        status = await native.call(DOCUMENT_STATUS, document_id=frames[0]["document_id"])
        assert status["result"]["status"] == "failed"
        assert "the file is gone" in status["result"]["error"]
        assert in_store(tmp_path / "kb") == 0
        retried = await native.call(INGEST, **asked, attempt=2)
        assert retried["result"]["status"] == "completed"
        # The request of the first attempt, arriving late: it starts nothing.
        late = await native.call(INGEST, **asked)
        assert late["result"] == retried["result"]
    assert in_store(tmp_path / "kb") == 1


async def test_cancelling_leaves_nothing_behind(tmp_path: Path) -> None:
    path = long_document(tmp_path / "long.md")
    async with serving(tmp_path / "kb", tmp_path) as url, client(url, native=True) as native:
        asked: Frame = {"file_path": str(path), "idempotency_key": "k"}
        for attempt, by in ((1, "key"), (2, "document")):
            await native.send(INGEST, "a", **asked, attempt=attempt)
            document_id = (await until(native, 5))[-1]["document_id"]
            running = await native.call(DOCUMENT_STATUS, "s", document_id=document_id)
            assert running["result"]["status"] == "running"
            assert 0.4 < running["result"]["progress"] < 0.7
            what = {"idempotency_key": "k"} if by == "key" else {"document_id": document_id}
            await native.send(CANCEL, "c", **what)
            answers: dict[str, Frame] = {}
            last: Frame = {}
            while len(answers) < 2:
                frame = await native.frame()
                if "id" in frame:
                    answers[frame["id"]] = frame["result"]
                else:
                    last = frame
            assert answers["c"] == {"status": "cancelled", "document_id": document_id}
            assert answers["a"]["status"] == "cancelled"
            assert (last["status"], last["error"]) == ("failed", "cancelled")
            ended = await native.call(DOCUMENT_STATUS, document_id=document_id)
            assert ended["result"]["status"] == "cancelled"
            # Who was cut off meanwhile learns it too, and starts nothing.
            again = await native.call(INGEST, **asked, attempt=attempt)
            assert again["result"]["status"] == "cancelled"
        assert in_store(tmp_path / "kb") == 0


async def test_a_kbv2_client_hears_of_a_cancellation_as_an_error(tmp_path: Path) -> None:
    path = long_document(tmp_path / "long.md")
    async with (
        serving(tmp_path / "kb", tmp_path) as url,
        client(url) as kbv2,
        client(url, native=True) as native,
    ):
        await kbv2.send(INGEST, "k", file_path=str(path))
        document_id = (await kbv2.frame())["document_id"]
        answer = await native.call(CANCEL, document_id=document_id)
        assert answer["result"]["status"] == "cancelled"
        assert (await kbv2.answer("k"))[0]["error"].endswith(": cancelled")


async def test_cancelling_answers_honestly(tmp_path: Path, documents: Path) -> None:
    tea = str(documents / "tea.md")
    async with serving(tmp_path / "kb", documents) as url, client(url, native=True) as native:
        done = await native.call(INGEST, file_path=tea, idempotency_key="k")
        document_id = done["result"]["document_id"]
        for what in ({"idempotency_key": "k"}, {"document_id": document_id}):
            answer = await native.call(CANCEL, **what)
            assert answer["result"] == {"status": "completed", "document_id": document_id}
        unheard = await native.call(CANCEL, document_id="unheard-of")
        assert unheard["result"]["status"] == "not_found"
        assert "either" in (await native.call(CANCEL))["error"]
    async with serving(tmp_path / "kb", documents) as url, client(url, native=True) as native:
        for what in ({"idempotency_key": "k"}, {"document_id": document_id}):
            answer = await native.call(CANCEL, **what)
            assert answer["result"] == {"status": "completed", "document_id": document_id}


async def test_who_waits_for_the_same_content_takes_the_place_of_the_cancelled(
    tmp_path: Path,
) -> None:
    path = long_document(tmp_path / "long.md", 30)
    async with serving(tmp_path / "kb", tmp_path) as url, client(url, native=True) as native:
        asked: Frame = {"file_path": str(path), "on_duplicate": "skip"}
        await native.send(INGEST, "a", **asked, idempotency_key="a")
        await native.send(INGEST, "b", **asked, idempotency_key="b")
        await until(native, 1)
        cancelled = await native.call(CANCEL, "c", idempotency_key="a")
        assert cancelled["result"]["status"] == "cancelled"
        again = await native.call(INGEST, "d", **asked, idempotency_key="b")
        assert again["result"]["status"] == "completed"
    assert in_store(tmp_path / "kb") == 1


async def test_a_cancellation_overtakes_its_request(tmp_path: Path, documents: Path) -> None:
    asked: Frame = {"file_path": str(documents / "tea.md"), "idempotency_key": "k"}
    async with serving(tmp_path / "kb", documents) as url, client(url, native=True) as native:
        assert (await native.call(CANCEL, idempotency_key="k"))["result"]["status"] == "cancelled"
        assert (await native.call(INGEST, **asked))["result"]["status"] == "cancelled"
        assert in_store(tmp_path / "kb") == 0
        retried = await native.call(INGEST, **asked, attempt=2)
        assert retried["result"]["status"] == "completed"


async def test_cancelled_at_any_moment_it_is_there_or_not(tmp_path: Path, documents: Path) -> None:
    async with serving(tmp_path / "kb", documents) as url, client(url, native=True) as native:
        stored = 0
        for moment in range(0, 30, 3):
            asked: Frame = {"file_path": str(documents / "tea.md"), "idempotency_key": f"{moment}"}
            await native.send(INGEST, "a", **asked)
            for _ in range(moment):
                if "id" in await native.frame():
                    break
            answer = await native.call(CANCEL, "c", idempotency_key=f"{moment}")
            status = answer["result"]["status"]
            assert status in ("cancelled", "completed")
            stored += status == "completed"
            assert in_store(tmp_path / "kb") == stored
        assert 0 < stored < 10


def report(sequence: int, status: str) -> Progress:
    return Progress(stage=1, status=status, message="", sequence=sequence)


@given(
    st.lists(st.sampled_from(["started", "progress", "completed"]), max_size=600),
    st.integers(0, 600),
)
def test_a_history_keeps_stages_and_the_newest_counts(statuses: list[str], seen: int) -> None:
    history = History()
    reports = [report(n, status) for n, status in enumerate(statuses, 1)]
    stages = [r for r in reports if r.status != "progress"][-100:]
    counts = [r for r in reports if r.status == "progress"][-KEPT_COUNTS:]
    for one in reports:
        history.keep(one)
    kept = sorted(stages + counts, key=lambda r: r.sequence or 0)
    assert history.after(0) == kept
    assert history.after(seen) == [r for r in kept if (r.sequence or 0) > seen]
    assert history.dropped == len(reports) - len(kept)
    assert history.newest == (reports[-1] if reports else None)
    history.drop_counts()
    assert history.after(0) == stages


async def test_what_has_ended_is_kept_for_a_while_only() -> None:
    now = 0.0
    register = Register(lambda: now)
    for number in range(ENDED_KEPT + 10):
        ingestion = Ingestion(f"d{number}", key=f"k{number}", status="failed")
        register.add(ingestion)
        register.note_end(ingestion)
    assert register.of_document("d9") is None
    assert register.answering(IngestParams("/x", idempotency_key="k9")) is None
    kept = register.of_document("d10")
    assert kept is not None
    assert register.answering(IngestParams("/x", idempotency_key="k10")) is kept
    assert register.answering(IngestParams("/x", idempotency_key="k10", attempt=2)) is None
    assert register.answering(IngestParams("/x", idempotency_key=None)) is None
    now += ENDED_SECONDS + 1
    assert register.of_document("d10") is None
    await asyncio.sleep(0)
