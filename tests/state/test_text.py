"""Foreign text made plain."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kbtui.state.excerpt import excerpt, query_words
from kbtui.state.text import plain


@given(st.text(st.characters(codec=None)), st.integers(5, 50))
def test_always_one_printable_line_that_can_be_encoded(text: str, limit: int) -> None:
    shown = plain(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    shown.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=50))
def test_visible_text_is_left_alone(text: str) -> None:
    assert plain(text) == text


def test_what_would_act_is_shown_instead() -> None:
    assert plain("\x1b]0;title\x07") == "\\x1b]0;title\\x07"
    assert plain("a\nb\tc\r\n") == "a b c  "
    assert plain("\u202eevil") == "\\u202eevil"
    assert plain("\udce9") == "\\udce9"
    assert plain("x" * 2000).endswith("x…")


def test_an_excerpt_begins_near_the_words_of_the_query() -> None:
    text = "filler " * 200 + "the mite that feeds on bees " + "filler " * 200
    shown = excerpt(text, "which mite feeds on the bees?", 200)
    assert "the mite that feeds on bees" in shown
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    assert len(shown) <= 204
    assert excerpt("short", "anything", 200) == "short"
    assert excerpt(text, "the of and", 100).startswith("filler")


@given(st.text(max_size=400), st.text(max_size=40), st.integers(1, 300))
def test_an_excerpt_is_part_of_the_text(text: str, query: str, length: int) -> None:
    shown = excerpt(text, query, length).removeprefix("… ").removesuffix(" …")
    assert shown in text
    assert len(shown) <= length


def test_words_that_stand_everywhere_are_not_looked_for() -> None:
    assert query_words("How do the bees survive the Winter?") == ["bees", "survive", "winter"]
