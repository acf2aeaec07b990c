"""The stages of an ingestion, by number and by name, and how far along a document is."""

from __future__ import annotations

from typing import Final

STAGE_TITLES: Final[dict[float, str]] = {
    0: "initialise",
    1: "read and parse",
    2: "chunk",
    3: "extract entities",
    3.5: "refine entity types",
    3.75: "validate entities",
    4: "resolve entities",
    5: "embed chunks",
    6: "build graph",
    7: "document metadata",
    8: "store",
    9: "complete",
}
"""Titles of the numbered pipeline. KBV2 versions differ in what a number means: where the server
sends a message of its own for a stage, front ends show that."""

LAST_STAGE: Final = 9
"""The stage whose end is the document's end, unless the server announces more (`total_stages`)."""

NAMED_STEPS: Final[dict[str, float]] = {
    "started": 1,
    "document_processed": 2,
    "extracting": 3,
    "resolving": 4,
    "entity_complete": 5,
    "finalizing": 8,
    "completed": 9,
}
"""Where the named steps of KBV2's February 2026 version stand among the numbered stages."""


def stage_title(stage: float) -> str:
    """The title of a stage; a number that we have no title for is shown as itself."""
    return STAGE_TITLES.get(stage, f"stage {stage:g}")


def fraction_done(
    stage: float,
    status: str,
    current: int | None = None,
    total: int | None = None,
    total_stages: int | None = None,
) -> float:
    """How far along a document is, 0.0 to 1.0, with every stage given the same share.

    Only a completed last stage gives 1.0. A count within the stage (`current` of `total`) moves
    the bar inside that stage's share.
    """
    last = max(LAST_STAGE, total_stages or 0)
    if status == "completed":
        within = 1.0
    elif current is not None and total is not None and total > 0:
        within = min(1.0, max(0.0, current / total))
    else:
        within = 0.0
    if stage >= last:
        return 1.0 if status == "completed" else last / (last + 1)
    return min(last / (last + 1), max(0.0, (int(stage) + within) / (last + 1)))
