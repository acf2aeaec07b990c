"""Searching: user text is never syntax, domains are kept apart, new documents are seen at once."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbtui.server.store.schema import connect, prepare
from kbtui.server.store.search import fuse, match_expression, search_entities
from tests.server.kb_tools import DATA, opened, quiet, source

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    return connect(prepare(tmp_path_factory.mktemp("search")))


@settings(max_examples=300, deadline=None)
@given(
    query=st.text(max_size=80) | st.text(alphabet="\"'*^:(){}[]-+ ANDORNET\x00\n%_\\", max_size=40)
)
def test_no_text_is_full_text_syntax(database: sqlite3.Connection, query: str) -> None:
    expression = match_expression(query)
    if expression is not None:
        database.execute("SELECT rowid FROM windows_text WHERE windows_text MATCH ?", (expression,))
        search_entities(database, query, 5)


def test_function_words_are_left_out_unless_alone() -> None:
    assert match_expression("Who is the keeper?") == '"keeper"'
    assert match_expression("to be or not") == '"to" OR "be" OR "or" OR "not"'
    assert match_expression("?!") is None


def test_fusion_prefers_what_both_rankings_have() -> None:
    scores = fuse([1, 2, 3], [3, 4])
    assert max(scores, key=lambda item: scores[item]) == 3
    assert scores[1] == pytest.approx(1 / 61)
    assert scores[3] == pytest.approx(1 / 63 + 1 / 61)


@pytest.mark.parametrize(
    "query", ['a "AND" (NEAR* OR -x:y^', "tea; DROP TABLE chunks --", "%_\x00"]
)
async def test_odd_queries_are_answered(tmp_path: Path, query: str) -> None:
    async with opened(tmp_path) as base:
        await base.ingest(source(DATA / "tea.md"), quiet)
        assert len(await base.search_chunks(query, 5)) == 1
        await base.search_entities(query, 5)
        assert (await base.counts()).documents == 1


async def test_empty_queries_and_an_empty_base_have_no_answers(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        assert await base.search_chunks("tea", 5) == []
        assert await base.search_entities("tea", 5) == []
        await base.ingest(source(DATA / "tea.md"), quiet)
        assert await base.search_chunks("  ", 5) == []
        assert await base.search_chunks("tea", 0) == []
        assert await base.search_entities("", 5) == []


async def test_a_search_sees_each_document_as_soon_as_it_is_stored(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        for number, name in enumerate(["tea.md", "sourdough.txt", "tidal.pdf"], 1):
            await base.ingest(source(DATA / name), quiet)
            hits = await base.search_chunks("moisture", 10)
            assert len({hit.document_id for hit in hits}) == number
            assert len({hit.id for hit in hits}) == len(hits)
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


async def test_a_domain_is_searched_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        await base.ingest(source(DATA / "tea.md", domain="food"), quiet)
        await base.ingest(source(DATA / "tidal.pdf", domain="sea"), quiet)
        await base.ingest(source(DATA / "lighthouse.html"), quiet)

        async def names(domain: str | None) -> set[str]:
            hits = await base.search_chunks("green tea and tidal energy", 10, domain)
            return {hit.document_name for hit in hits}

        assert await names("food") == {"tea.md"}
        assert await names("sea") == {"tidal.pdf"}
        assert await names("other") == set()
        assert len(await names(None)) == 3


async def test_searching_goes_on_while_documents_come_in(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        coming = [asyncio.create_task(base.ingest(source(path), quiet)) for path in DATA.iterdir()]
        while not all(task.done() for task in coming):
            hits = await base.search_chunks("tea", 10)
            assert len(hits) <= 5
        assert len(await base.search_chunks("tea", 10)) == 5


async def test_an_entity_says_what_is_known_of_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as base:
        await base.ingest(source(DATA / "lighthouse.html"), quiet)
        hit = (await base.search_entities("USLB", 3))[0]
        assert (hit.name, hit.type) == ("United States Lighthouse Board", "organisation")
        assert "adopted the lens in 1852" in hit.description
        assert hit.properties["aliases"] == ["uslb"]
        assert hit.properties["documents"] == 1
        assert 0 < hit.confidence <= 1
