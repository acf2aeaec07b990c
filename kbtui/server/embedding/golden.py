"""Texts whose vectors are known, to tell a graph that computes well from one that does not."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS: Final = (
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "How is the wear of turbine blades under water kept low?",
    (
        "Barnacles and rust shorten the life of a tidal turbine, so its blades are coated and"
        " made of fibre-reinforced plastic, and divers or robots scrape them twice a year."
    ),
    "error: connection to 127.0.0.1:5432 refused (errno 111)",
    "The database cannot be reached: check that PostgreSQL listens on port 5432.",
    (
        "Augustin-Jean Fresnel designed, from 1819, lenses of many thin rings for the lights of"
        " the French coast. A lens of the first order stands 2.6 metres high, has a focal length"
        " of 920 mm and throws the light of one oil lamp more than 32 km out to sea. The rings"
        " bend the light as a single thick lens would, but they weigh, cost and absorb far less;"
        " prisms above and below reflect what would be lost to the sky and the rock. By 1860"
        " most large lighthouses of Europe and North America had one, and the keepers' days went"
        " by in winding the clockwork that turned it, in trimming wicks, and in polishing brass"
        " and glass with rouge and spirit."
    ),
    "Who invented the lenses used in lighthouses?",
)
"""Pairs on one subject each, from a few words to a window's length."""

LEAST_COSINE: Final = 0.985
"""What a vector must have with the known one of its text. The fused graph's have 0.993 to 0.996;
0.990 to 0.996 in a simulation of processors without VNNI, where one sum in 30,000 saturates."""


@cache
def vectors() -> NDArray[np.float32]:
    """The known vectors, shape (len(TEXTS), 384): what the published graph makes of them."""
    data = (files("kbtui.server.embedding") / "golden.npy").read_bytes()
    stored: NDArray[np.float16] = np.load(BytesIO(data), allow_pickle=False)
    return stored.astype(np.float32)


def fault(made: NDArray[np.float32]) -> str | None:
    """What is wrong with these vectors of `TEXTS`, None when nothing is: each must be close to
    the known one, and have the same text for its nearest."""
    cosines = np.einsum("ij,ij->i", made, vectors())
    # Said this way round, a cosine that is not a number is a fault too.
    if not (cosines >= LEAST_COSINE).all():
        return f"its vectors are off: least cosine {cosines.min():.3f}"
    if (_nearest(made) != _nearest(vectors())).any():
        return "its vectors rank texts differently"
    return None


def _nearest(units: NDArray[np.float32]) -> NDArray[np.intp]:
    alike = units @ units.T
    np.fill_diagonal(alike, -1)
    nearest: NDArray[np.intp] = alike.argmax(axis=1)
    return nearest
