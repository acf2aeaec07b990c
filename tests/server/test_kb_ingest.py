"""Documents of every type go in, stage by stage, and are found again."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from kbtui.server.knowledge_base import IngestError
from kbtui.server.parsing.text import read_html
from tests.make_data import mixed_folder
from tests.server.kb_tools import DATA, opened, quiet, source

if TYPE_CHECKING:
    from pathlib import Path

    from kbtui.server.knowledge_base import KnowledgeBase, StageReport

# File, a question in other words than the answer's, a sentence of the answer, heading, page.
ANSWERS = [
    ("tea.md", "machine that cuts leaves into pellets", "William McKercher in 1930", None),
    ("sourdough.txt", "what does a grey liquid on the culture mean", "only alcohol", None),
    ("lighthouse.html", "who designed lenses for French lights", "Augustin-Jean Fresnel", None),
    ("tidal.pdf", "how much does underwater current power cost", "198 pounds", 3),
    ("beekeeping.docx", "which chemical is applied to hives in winter", "Oxalic acid", None),
]


async def test_every_type_is_ingested_and_a_sentence_of_it_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        stored = await asyncio.gather(
            *(base.ingest(source(DATA / name), quiet) for name, *_ in ANSWERS)
        )
        for (name, question, answer, page), document in zip(ANSWERS, stored, strict=True):
            hit = (await base.search_chunks(question, 3))[0]
            assert (hit.document_name, hit.document_id) == (name, document.document_id)
            assert answer in " ".join(hit.text.split())
            assert hit.similarity is not None
            assert 0.2 < hit.similarity <= 1
            assert hit.page_number == page
            assert hit.heading
        counts = await base.counts()
        assert (counts.documents, counts.chunks) == (5, 5)
        assert counts.windows > 10
        assert counts.entities > 30
        assert counts.relations > 20


async def test_markup_and_navigation_are_not_indexed(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        await base.ingest(source(DATA / "lighthouse.html"), quiet)
        (hit,) = await base.search_chunks("lighthouse", 1)
        for unwanted in ("do-not-index", "Navigation home", "Souvenir", "Subscribe", "#123456"):
            assert unwanted not in hit.text
        assert "Copyright footer" not in hit.text
        assert "| First | 920 mm | landfall lights |" in hit.text


def test_a_page_keeps_its_rules_and_title() -> None:
    read = read_html(b"<title>A &amp;\n B</title><p>one</p><hr><p>two</p><hr><p>three</p>")
    assert read.title == "A & B"
    assert read.text.split() == ["one", "---", "two", "---", "three"]


async def test_headings_and_pages_come_from_a_pdfs_contents(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        document = await base.ingest(source(DATA / "tidal.pdf"), quiet)
        assert document.pages == 3
        (hit,) = await base.search_chunks("barnacles on a blade", 1)
        assert (hit.page_number, hit.heading) == (3, "Corrosion and biofouling")
        (hit,) = await base.search_chunks("dam across an estuary with sluices", 1)
        assert (hit.page_number, hit.heading) == (1, "Tidal barrages")


async def test_ten_stages_are_each_started_and_completed_in_order(tmp_path: Path) -> None:
    reports: list[StageReport] = []
    async with opened(tmp_path) as base:
        await base.ingest(source(DATA / "tidal.pdf"), reports.append)
    edges = [(said.stage, said.status) for said in reports if said.status != "progress"]
    assert edges == [(stage, status) for stage in range(10) for status in ("started", "completed")]
    ends = {said.stage: said for said in reports if said.status == "completed"}
    assert (ends[1].current, ends[1].total) == (3, 3)
    assert (ends[3].current, ends[3].total) == (1, 1)
    assert ends[5].current == ends[5].total
    assert "rule-based" in ends[3].message
    for said in reports:
        assert "\n" not in said.message
        if said.current is not None and said.total is not None:
            assert 0 <= said.current <= said.total


async def test_a_stored_document_is_found_by_id_key_and_content(tmp_path: Path) -> None:
    tea = source(DATA / "tea.md", domain="drinks", key="key-1")
    async with opened(tmp_path) as base:
        stored = await base.ingest(tea, quiet)
        instance = base.instance_id
    async with opened(tmp_path) as base:
        assert base.instance_id == instance
        assert await base.document(tea.document_id) == stored
        assert await base.find_by_key("key-1") == stored
        assert await base.find_by_content("drinks", tea.sha256) == stored
        assert await base.find_by_content(None, tea.sha256) is None
        assert await base.document("other") is None
        with pytest.raises(IngestError, match="could not store"):
            await base.ingest(tea, quiet)
        assert (await base.counts()).documents == 1


async def test_documents_ingested_together_all_arrive(tmp_path: Path) -> None:
    paths = mixed_folder(tmp_path / "in", 15)
    assert [path.read_bytes() for path in paths] == [
        path.read_bytes() for path in mixed_folder(tmp_path / "again", 15)
    ]
    async with opened(tmp_path / "kb") as base:
        await asyncio.gather(*(base.ingest(source(path), quiet) for path in paths))
        assert (await base.counts()).documents == 15
        for number, path in enumerate(paths):
            hits = await base.search_chunks(f"report {number:05d}", 2)
            assert path.name in [hit.document_name for hit in hits]


@pytest.mark.parametrize("stage", [0, 1, 2, 3, 4, 5, 6, 7])
async def test_a_cancelled_document_leaves_nothing(tmp_path: Path, stage: int) -> None:
    async with opened(tmp_path) as base:

        def cancel(said: StageReport) -> None:
            if said.stage == stage:
                task.cancel()

        task = asyncio.create_task(base.ingest(source(DATA / "tea.md"), cancel))
        with pytest.raises(asyncio.CancelledError):
            await task
        counts = await base.counts()
        assert (counts.documents, counts.windows, counts.entities) == (0, 0, 0)
        await base.ingest(source(DATA / "sourdough.txt"), quiet)
        assert (await base.counts()).documents == 1


async def test_a_cancellation_either_wins_or_comes_too_late(tmp_path: Path) -> None:
    """At stage 8 the commit and the cancellation race; whoever wins, both sides agree."""
    async with opened(tmp_path) as base:
        for path in mixed_folder(tmp_path / "in", 10):
            before = (await base.counts()).documents
            stored = await _cancelled_late(base, path)
            assert (await base.counts()).documents == before + stored


async def _cancelled_late(base: KnowledgeBase, path: Path) -> int:
    """How many documents an ingestion says it stored that is cancelled about when it commits."""

    def cancel(said: StageReport) -> None:
        if (said.stage, said.status) == (8, "started"):
            asyncio.get_running_loop().call_later(0.0005, task.cancel)

    task = asyncio.create_task(base.ingest(source(path), cancel))
    try:
        await task
    except asyncio.CancelledError:
        return 0
    return 1


async def test_opening_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import asyncio, pathlib, sys\n"
        "from kbtui.server.knowledge_base import KnowledgeBase\n"
        f"asyncio.run(KnowledgeBase.open(pathlib.Path({str(tmp_path)!r})))\n"
        "heavy = {'numpy', 'onnxruntime', 'tokenizers', 'pypdfium2', 'docx', 'rapidfuzz'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().strip() == "[]"
