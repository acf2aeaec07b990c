"""Cutting: windows fit the embedder, nothing is lost, chunks follow headings."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbtui.server.embedding.tokens import TOKEN_LIMIT, token_count
from kbtui.server.parsing.chunking import CHUNK_CHARACTERS, cut, windows
from kbtui.server.parsing.document import Document, Heading, markdown_headings
from tests.server.kb_tools import DATA


@pytest.mark.parametrize(
    "text",
    [
        "\u6771\u4eac\u306e\u6d77" * 700,
        "x" * 5000,
        " ".join(f"{number:x}" for number in range(4000)),
        "antidisestablishmentarianism-" * 200,
        "\U0001f642" * 900,
        "| a | b |\n| --- | --- |\n" + "| 1.25 | 99,7 |\n" * 300,
    ],
    ids=["cjk", "one word", "hex", "hyphens", "emoji", "table"],
)
def test_dense_text_is_split_and_not_cut(text: str) -> None:
    spans = windows(text)
    assert all(token_count(text[span.start : span.end]) <= TOKEN_LIMIT for span in spans)
    kept = "".join(text[span.start : span.end] for span in spans)
    assert sum(map(str.isalnum, kept)) == sum(map(str.isalnum, text))


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=4000))
def test_windows_are_in_order_and_keep_every_word(text: str) -> None:
    spans = windows(text)
    assert all(token_count(text[span.start : span.end]) <= TOKEN_LIMIT for span in spans)
    assert all(first.end <= second.start for first, second in itertools.pairwise(spans))
    kept = "".join(text[span.start : span.end] for span in spans)
    assert sum(map(str.isalnum, kept)) == sum(map(str.isalnum, text))


def test_chunks_are_runs_of_windows_and_break_at_headings() -> None:
    section = "Sentences about the sea and the shore fill this section.\n\n" * 70
    text = "".join(f"# Part {number}\n\n{section}" for number in range(1, 5))
    chunks = cut(Document("Markdown", text, markdown_headings(text)))
    assert [chunk.heading for chunk in chunks] == ["Part 1", "Part 2", "Part 3", "Part 4"]
    for chunk in chunks:
        assert len(chunk.text) <= CHUNK_CHARACTERS
        assert chunk.text.startswith("# Part")
        assert all(window.text in chunk.text for window in chunk.windows)


def test_a_window_knows_its_page_and_heading() -> None:
    pages = ["Alpha words. " * 60, "Beta words. " * 60, "Gamma words. " * 60]
    text = "\n\n".join(pages)
    starts = [0, text.index("Beta"), text.index("Gamma")]
    headings = [Heading(0, 1, "First"), Heading(starts[2], 1, "Last")]
    (chunk,) = cut(Document("PDF", text, headings, page_starts=starts))
    for window in chunk.windows:
        number = ["Alpha", "Beta", "Gamma"].index(window.text.split()[0])
        assert window.page == number + 1
        assert window.heading == ("Last" if number == 2 else "First")


def test_headings_are_found_outside_code_and_front_matter() -> None:
    text = (
        "---\ntitle: x\n---\n\nTop\n===\n\ntext\n\n```sh\n# no heading\n```\n\n"
        "## A *b* [c](http://d) ##\n\n- item\n---\n\nSub\n---\n"
    )
    found = markdown_headings(text)
    assert [(heading.level, heading.title) for heading in found] == [
        (1, "Top"),
        (2, "A b c"),
        (2, "Sub"),
    ]
    assert all(text[heading.offset :].lstrip("# ")[0] in "TAS" for heading in found)


def test_a_real_page_is_cut_by_its_sections() -> None:
    text = (DATA / "tea.md").read_text()
    (chunk,) = cut(Document("Markdown", text, markdown_headings(text)))
    assert [window.heading for window in chunk.windows][:1] == [
        "From leaf to cup: how tea is processed"
    ]
    assert chunk.text == text.strip()
