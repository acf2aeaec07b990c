"""The pure parts: order, columns, texts, paths, marks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from kbtui.ingest.jobs import JobState
from kbtui.state.views import DocumentView
from kbtui.tui import order, text
from kbtui.tui.columns import layout
from kbtui.tui.hits import marked, words_pattern
from kbtui.tui.paths import common_start, complete

TIMES = st.floats(0, 100) | st.none()
CHANGE = st.tuples(st.integers(0, 12), st.sampled_from(JobState), TIMES, TIMES)


def view_of(
    number: int, state: JobState, started: float | None, ended: float | None
) -> DocumentView:
    name = f"paper-{number}.pdf"
    return DocumentView(
        job_id=f"j{number}", path=f"/p/{name}", name=name, domain=None, state=state, size=1,
        added_at=float(number), started_at=started, finished_at=ended,
    )  # fmt: skip


@given(st.lists(st.lists(CHANGE, max_size=6), max_size=8), st.sampled_from(["", "completed", "1"]))
def test_the_order_kept_up_to_date_is_the_order_sorted_anew(batches, words) -> None:
    kept, documents = order.Ordering(), {}
    kept.words = words
    for batch in batches:
        changed = {f"j{change[0]}": view_of(*change) for change in batch}
        documents.update(changed)
        kept.update(documents, changed)
    anew = order.Ordering()
    anew.words = words
    anew._numbers = kept._numbers
    anew.rebuild(documents)
    rows = kept.slice(0, len(kept))
    assert rows == anew.slice(0, len(anew))
    assert [kept.row(job_id) for job_id in rows] == list(range(len(rows)))
    groups = [order.group(documents[job_id].state) for job_id in rows]
    assert groups == sorted(groups)


def test_many_changes_at_once_give_the_same_order() -> None:
    documents = {f"j{n}": view_of(n, JobState.QUEUED, None, None) for n in range(1000)}
    ordering = order.Ordering()
    assert ordering.update(documents, documents)
    assert ordering.slice(0, 3) == ["j0", "j1", "j2"]
    assert not ordering.update(documents, ["j5"])
    documents["j500"].state = JobState.RUNNING
    assert ordering.update(documents, ["j500"])
    assert ordering.at(0) == "j500"


@given(st.integers(1, 400))
def test_the_columns_fit_every_width(width: int) -> None:
    columns = layout(width)
    widths = [columns.name, columns.state, columns.stage, columns.bar, columns.percent,
              columns.elapsed, columns.size, columns.message]  # fmt: skip
    shown = [cells for cells in widths if cells]
    if width >= 12:
        assert sum(shown) + columns.gap * (len(shown) - 1) <= width
    assert columns.name >= 4


def test_wider_terminals_show_more() -> None:
    assert layout(38).stage == 0
    assert layout(78).bar >= 6
    assert layout(78).stage >= 18
    assert layout(57).stage >= 12
    assert layout(150).size
    assert layout(190).message


@given(st.text(max_size=60), st.integers(1, 40), st.booleans())
def test_fit_gives_exactly_the_width(value: str, width: int, right: bool) -> None:
    assert cell_len(text.fit(value, width, right=right)) == width


WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=200)


@given(WORDS, st.integers(2, 40))
def test_wrapped_lines_fit_and_lose_nothing(value: str, width: int) -> None:
    lines = text.wrap(value, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(value.split())


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, ""), (0, "0:00"), (7.9, "0:07"), (724, "12:04"), (3753, "1:02:33"),
     (200_000, "2d 07h")],
)  # fmt: skip
def test_durations(seconds: float | None, expected: str) -> None:
    assert text.duration(seconds) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, ""), (17, "17 B"), (184_000, "184 kB"), (1_250_000, "1.2 MB"), (3_000_000_000, "3.0 GB")],
)
def test_sizes(size: int, expected: str) -> None:
    assert text.file_size(size) == expected


def test_a_bar_is_full_only_at_the_end() -> None:
    assert text.bar(0.99, 10, "=", ">", ".") == ("=========>", "")
    assert text.bar(1.0, 10, "=", ">", ".") == ("==========", "")
    assert text.bar(0.0, 4, "=", ">", ".") == ("", "....")


def test_completion(tmp_path: Path) -> None:
    (tmp_path / "Berichte").mkdir()
    for name in ("bericht-1.pdf", "bericht-2.pdf", ".hidden", "other.txt"):
        (tmp_path / name).touch()
    names = [item.name for item in complete(f"{tmp_path}/ber")]
    assert names == ["Berichte/", "bericht-1.pdf", "bericht-2.pdf"]
    assert common_start(complete(f"{tmp_path}/bericht-")) == f"{tmp_path}/bericht-"
    assert [item.name for item in complete(f"{tmp_path}/.h")] == [".hidden"]
    assert complete(f"{tmp_path}/nowhere/x") == []
    assert complete("\0") == []
    assert common_start([]) == ""


def test_words_are_marked_where_they_begin() -> None:
    plain, mark = Style(), Style(bold=True)
    line = marked("Liquidity, illiquid; liquidities", words_pattern("liquid a+b (x"), plain, mark)
    assert [segment.text for segment in line if segment.style == mark] == [
        "Liquidity",
        "liquidities",
    ]
    assert "".join(segment.text for segment in line) == "Liquidity, illiquid; liquidities"
    assert words_pattern("a b") is None
