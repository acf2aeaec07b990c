"""The settle rule, by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kbtui.watch.settle import Settling, Signature, Verdict, judge

OLD, NEW = Signature(3, 100, 7), Signature(3, 101, 7)


def look(before: Settling | None, signature: Signature, at: float) -> tuple[Settling, Verdict]:
    return judge(before, signature, began=at, ended=at, settle=5.0)


def test_two_equal_looks_far_enough_apart_settle_a_file() -> None:
    first, verdict = look(None, OLD, 0.0)
    assert verdict is Verdict.SETTLING
    second, verdict = look(first, OLD, 4.999)
    assert verdict is Verdict.SETTLING
    assert second.since == 0.0
    assert look(second, OLD, 5.0)[1] is Verdict.SETTLED


def test_every_change_starts_anew() -> None:
    state, _ = look(None, OLD, 0.0)
    for changed in (NEW, Signature(4, 101, 7), Signature(4, 101, 8), OLD):
        state, verdict = look(state, changed, state.since + 100)
        assert verdict is Verdict.SETTLING
    assert state.since == 400.0


def test_an_empty_file_never_settles() -> None:
    empty = Signature(0, 100, 7)
    state, verdict = look(None, empty, 0.0)
    assert verdict is Verdict.EMPTY
    assert look(state, empty, 1e6)[1] is Verdict.EMPTY
    state, verdict = look(state, Signature(1, 100, 7), 1e6)
    assert verdict is Verdict.SETTLING


def test_a_slow_scan_does_not_shorten_the_time() -> None:
    first, _ = judge(None, OLD, began=0.0, ended=3.0, settle=5.0)
    assert judge(first, OLD, began=7.0, ended=20.0, settle=5.0)[1] is Verdict.SETTLING
    assert judge(first, OLD, began=8.0, ended=9.0, settle=5.0)[1] is Verdict.SETTLED


@given(
    st.lists(
        st.tuples(
            st.floats(0, 10),
            st.builds(Signature, st.integers(0, 1), st.sampled_from([-5, 0, 2**62]), st.just(1)),
        ),
        min_size=1,
    )
)
def test_settled_means_unchanged_for_long_enough(looks: list[tuple[float, Signature]]) -> None:
    state: Settling | None = None
    now = 0.0
    seen: list[tuple[float, Signature]] = []
    for pause, signature in looks:
        now += pause
        seen.append((now, signature))
        state, verdict = look(state, signature, now)
        since = now
        for at, earlier in reversed(seen):
            if earlier != signature:
                break
            since = at
        if signature.size == 0:
            assert verdict is Verdict.EMPTY
        else:
            assert (verdict is Verdict.SETTLED) == (since + 5.0 <= now)
