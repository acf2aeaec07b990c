"""Random lives of a connection, a few of them; the long tier has more."""

from __future__ import annotations

import pytest

from tests.connection.lives import live


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("seed", range(20))
async def test_a_random_life(seed, native):
    await live(seed, native)
