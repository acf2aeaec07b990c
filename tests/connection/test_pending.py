"""The registry of requests and the turn, under any order of events."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kbtui.connection.pending import EXPIRED_KEPT, PendingRequests, Settlement, Turn
from kbtui.protocol.messages import Response

IDS = st.sampled_from("abcdef")


class Lost(Exception):
    pass


class PendingMachine(RuleBasedStateMachine):
    """Every request ends exactly once: answered, failed, removed or expired."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.pending = PendingRequests(lambda: self.now)
        self.out = {}
        self.expired = set()

    def teardown(self):
        self.loop.close()

    def run(self, function, *arguments):
        async def call():
            return function(*arguments)

        return self.loop.run_until_complete(call())

    @rule(request=IDS)
    def register(self, request):
        if request in self.out:
            with pytest.raises(ValueError, match="out already"):
                self.run(self.pending.register, request)
        else:
            self.out[request] = self.run(self.pending.register, request)
            self.expired.discard(request)

    @rule(request=IDS | st.none() | st.integers())
    def answer(self, request):
        response = Response(request, result=1)
        settlement = self.run(self.pending.settle, response)
        if request in self.out:
            assert settlement is Settlement.ANSWERED
            assert self.out.pop(request).result() is response
        elif request in self.expired:
            assert settlement is Settlement.LATE
            self.expired.discard(request)
        else:
            assert settlement is Settlement.UNKNOWN

    @rule(request=IDS)
    def expire(self, request):
        self.run(self.pending.expire, request)
        if self.out.pop(request, None) is not None:
            self.expired.add(request)

    @rule(request=IDS)
    def cancelled_in_the_same_turn_as_the_answer(self, request):
        if request in self.out:
            self.out.pop(request).cancel()
            settlement = self.run(self.pending.settle, Response(request, result=1))
            assert settlement is Settlement.LATE

    @rule(request=IDS)
    def remove(self, request):
        self.run(self.pending.remove, request)
        self.out.pop(request, None)

    @rule()
    def lose(self):
        self.run(self.pending.fail_all, Lost)
        for future in self.out.values():
            assert isinstance(future.exception(), Lost)
        self.out.clear()

    @precondition(lambda self: self.expired)
    @rule(request=IDS)
    def a_day_passes(self, request):
        self.now += 25 * 3600
        self.register_and_expire(request)
        self.expired = {request}

    def register_and_expire(self, request):
        if request not in self.out:
            self.run(self.pending.register, request)
        self.out.pop(request, None)
        self.run(self.pending.expire, request)

    @invariant()
    def agrees(self):
        assert len(self.pending) == len(self.out)
        assert self.pending.expired == len(self.expired)
        assert self.pending.only() == (next(iter(self.out)) if len(self.out) == 1 else None)
        assert not any(future.done() for future in self.out.values())


TestPending = PendingMachine.TestCase


async def test_the_expired_are_bounded():
    pending = PendingRequests(lambda: 0.0)
    for number in range(EXPIRED_KEPT + 10):
        pending.register(str(number))
        pending.expire(str(number))
    assert pending.expired == EXPIRED_KEPT
    assert pending.settle(Response("9", 1)) is Settlement.UNKNOWN
    assert pending.settle(Response("10", 1)) is Settlement.LATE


steps = st.lists(
    st.tuples(st.sampled_from(["ask", "release", "cancel", "wait"]), st.integers(0, 9)),
    max_size=60,
)


class TurnPlay:
    """Tasks that ask for one turn, and what became of them."""

    def __init__(self):
        self.turn = Turn()
        self.asked = {}
        self.held = []

    async def hold(self, who):
        await self.turn.take(who)
        self.held.append(who)

    def release(self):
        if self.turn.holder in self.held:  # only who has it gives it back
            self.turn.release(self.turn.holder)

    async def step(self, number, step, index):
        if step == "ask":
            self.asked[str(number)] = asyncio.ensure_future(self.hold(str(number)))
        elif step == "release":
            self.release()
        elif step == "cancel" and self.asked:
            list(self.asked.values())[index % len(self.asked)].cancel()
        else:
            await asyncio.sleep(0)
        assert self.turn.holder is None or self.turn.holder in self.asked


@given(steps=steps, close=st.booleans())
def test_the_turn_has_one_holder_and_passes_in_order(steps, close):
    async def play():
        this = TurnPlay()
        for number, (step, index) in enumerate(steps):
            await this.step(number, step, index)
        if close:
            this.turn.close(Lost)
            with pytest.raises(Lost):
                await this.turn.take("late")
        for _ in range(2 * len(steps) + 2):
            await asyncio.sleep(0)
            this.release()
        results = await asyncio.gather(*this.asked.values(), return_exceptions=True)
        assert this.held == sorted(this.held, key=int)
        assert this.turn.holder is None
        for who, result in zip(this.asked, results, strict=True):
            if result is None:
                assert who in this.held
            else:
                assert isinstance(
                    result, (asyncio.CancelledError, Lost) if close else asyncio.CancelledError
                )

    asyncio.run(play())
