"""What can go wrong in the knowledge base, as exceptions whose text is one clear line."""

from __future__ import annotations


class KnowledgeBaseError(Exception):
    """The knowledge base itself cannot be used: unreadable, too new, made with another embedder."""


class IngestError(Exception):
    """One document cannot be ingested; the knowledge base and other documents are unaffected.

    `stage` is the number of the stage that failed (0 to 9), `message` one line for people.
    """

    def __init__(self, stage: float, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.message = message
