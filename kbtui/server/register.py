"""Which ingestions there are: by document and by key, running or ended a short while ago."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from kbtui.protocol.methods import IngestParams
from kbtui.server.ingestion import Ingestion

ENDED_KEPT: Final = 256
"""Ingestions that have ended whose reports and outcome are kept for clients that were cut off."""

ENDED_SECONDS: Final = 600.0
"""How long they are kept: longer than a network's outage, shorter than a person's patience."""


class Register:
    """The ingestions of this run of the server; of those that have ended the newest 256, for ten
    minutes of `clock`, without their counts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.running: dict[str, Ingestion] = {}
        self._ended: OrderedDict[str, Ingestion] = OrderedDict()
        self._by_key: dict[str, Ingestion] = {}

    def add(self, ingestion: Ingestion) -> None:
        """A new ingestion, which is its key's from now on."""
        self.running[ingestion.document_id] = ingestion
        if ingestion.key is not None:
            self._by_key[ingestion.key] = ingestion

    def note_end(self, ingestion: Ingestion) -> None:
        """An ingestion has ended: it is kept for a while, and the oldest gives way."""
        del self.running[ingestion.document_id]
        ingestion.history.drop_counts()
        ingestion.ended = self._clock()
        self._ended[ingestion.document_id] = ingestion
        while len(self._ended) > ENDED_KEPT:
            self._forget(next(iter(self._ended.values())))

    def withdraw(self, ingestion: Ingestion) -> None:
        """An ingestion has not even begun: the next request for it is the first."""
        del self.running[ingestion.document_id]
        self._free_key(ingestion)

    def of_document(self, document_id: str) -> Ingestion | None:
        """The ingestion that made, or is making, this document."""
        self._forget_old()
        return self.running.get(document_id) or self._ended.get(document_id)

    def of_key(self, key: str, attempt: int) -> Ingestion | None:
        """The run of a key that this attempt is about; None where there is none, or where the
        attempt asks for a new one."""
        self._forget_old()
        ingestion = self._by_key.get(key)
        if ingestion is None or ingestion.superseded_by(attempt):
            return None
        return ingestion

    def answering(self, params: IngestParams) -> Ingestion | None:
        """The run whose outcome answers a request. Raises KeyConflict."""
        if params.idempotency_key is None:
            return None
        ingestion = self.of_key(params.idempotency_key, params.attempt)
        if ingestion is not None:
            ingestion.take(params)
        return ingestion

    def _forget_old(self) -> None:
        while self._ended:
            oldest = next(iter(self._ended.values()))
            if self._clock() - oldest.ended <= ENDED_SECONDS:
                return
            self._forget(oldest)

    def _forget(self, ingestion: Ingestion) -> None:
        del self._ended[ingestion.document_id]
        self._free_key(ingestion)

    def _free_key(self, ingestion: Ingestion) -> None:
        if ingestion.key is not None and self._by_key.get(ingestion.key) is ingestion:
            del self._by_key[ingestion.key]
