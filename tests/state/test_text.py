"""Foreign text made plain."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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
