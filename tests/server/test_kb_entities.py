"""The rules for entities and relations, and when two names become one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from kbtui.server.entities.extract import Extractor
from kbtui.server.entities.names import long_form, normalise
from kbtui.server.entities.resolve import compare
from tests.server.kb_tools import opened, quiet, source

if TYPE_CHECKING:
    from pathlib import Path

PASSAGE = """\
# Harbour notes

The Marine Energy Centre (MEC) was founded by Henry Walker in Stromness. The MEC uses the
Falcon Turbine. A tidal fence is a row of turbines. Barnacles grow. In 1998 the Board of Trade and
Trinity House met Dr. Ann Lee of the Coastal Institute. Set `max_depth` and restart.

```
class NotAnEntity: pass
```
"""


def _read(text: str) -> tuple[dict[str, str], set[tuple[str, str, str, int]]]:
    extractor = Extractor()
    extractor.read(0, text)
    entities, relations = extractor.finish()
    return (
        {entity.key: entity.type for entity in entities},
        {(found.source, found.type, found.target, found.count) for found in relations},
    )


def test_a_passage() -> None:
    entities, relations = _read(PASSAGE)
    assert entities["marine energy centre"] == "organisation"
    assert entities["henry walker"] == "person"
    assert entities["dr ann lee"] == "person"
    assert entities["coastal institute"] == "organisation"
    assert entities["board of trade"] == "organisation"
    assert entities["max depth"] == "identifier"
    assert "trinity house" in entities
    assert "tidal fence" in entities
    # A capitalised word that only begins a sentence, an acronym that stands for another entity,
    # a heading and code are no entities.
    assert not {"barnacles", "mec", "harbour notes", "notanentity", "set"} & set(entities)
    assert ("henry walker", "founded", "marine energy centre", 1) in relations
    assert ("marine energy centre", "uses", "falcon turbine", 1) in relations
    assert ("tidal fence", "is_a", "row", 1) in relations
    assert ("henry walker", "co_occurs", "stromness", 1) in relations


def test_co_occurrence_is_counted_over_the_document() -> None:
    _, relations = _read("In Leith and Oban it rains. " * 3)
    assert relations == {("leith", "co_occurs", "oban", 3)}


def test_names_with_the_same_key_are_one() -> None:
    for one, other in [
        ("The Fresnel Lens", "fresnel lens"),
        ("Trinity House's", "Trinity House"),
        ("Saint-Malo", "Saint Malo"),
        ("\uff26ull width", "full WIDTH"),
    ]:
        assert normalise(one) == normalise(other)
    assert normalise("Local") != normalise("Locale")


def test_acronyms_are_matched_with_the_words_before() -> None:
    assert long_form("TST", "each tidal stream turbine") == "tidal stream turbine"
    assert long_form("USDA", "United States Department of Agriculture") is not None
    assert long_form("ABC", "nothing like it here") is None
    assert long_form("NATO", "nato") is None


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400))
def test_any_text_can_be_read(text: str) -> None:
    _read(text)


def test_alike_is_ninety_and_digits_differ() -> None:
    assert [pair[:2] for pair in compare([("locale", "local")])] == [("local", "locale")]
    assert compare([("station 12 south", "station 13 south")]) == []
    assert compare([("harbour", "lighthouse")]) == []


async def test_fuzzy_pairs_are_only_proposed_and_acronyms_merged(tmp_path: Path) -> None:
    texts = {
        "a.md": "We met the Local Register and the TST in Oban.",
        "b.md": "We met the Locale Register in Oban. A tidal stream turbine (TST) is a machine.",
        "c.md": "The harbour in Oban has a TST.",
    }
    async with opened(tmp_path / "kb") as base:
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
            await base.ingest(source(tmp_path / name), quiet)
        before = await base.counts()
        report = await base.deduplicate_entities()
        assert report.total_processed == before.entities
        assert (report.merged_entities, report.pending_review) == (1, 1)
        after = await base.counts()
        assert after.entities == before.entities - 1
        names = {hit.name for hit in await base.search_entities("Local Locale Register", 10)}
        assert {"Local Register", "Locale Register"} <= names
        # "TST" was an entity of its own in the first document, before another defined it.
        (turbine,) = [hit for hit in await base.search_entities("TST", 10) if hit.similarity == 1]
        assert turbine.name == "tidal stream turbine"
        assert turbine.properties["aliases"] == ["tst"]
        assert turbine.properties["documents"] == 3
        assert [hit.name for hit in await base.search_entities("Oban", 1)] == ["Oban"]
        again = await base.deduplicate_entities()
        assert (again.merged_entities, again.pending_review) == (0, 1)
