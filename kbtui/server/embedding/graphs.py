"""The two graphs that compute the embedding model, and which of them to use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kbtui.server.embedding import golden
from kbtui.server.embedding.fused import INPUT, fused_model
from kbtui.server.embedding.tokens import tokenizer

if TYPE_CHECKING:
    import onnxruntime

log = logging.getLogger(__name__)

Graph = Callable[[Sequence[int]], NDArray[np.float32]]
"""Makes of the token ids of one text its unit vector, shape (384,): the mean of the last hidden
states, normalised. Safe from several threads; releases the GIL."""


def best(model: bytes) -> Graph:
    """The fused graph where this machine computes it well, else the published one. `model` is the
    published file."""
    try:
        graph = fused(model)
        fault = golden.fault(np.stack([graph(_ids(text)) for text in golden.TEXTS]))
    except Exception as error:  # noqa: BLE001 - whatever fails here, the published graph works
        fault = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    else:
        if fault is None:
            return graph
    log.info("embedding with the slower graph, the fused one is of no use here: %s", fault)
    return published(model)


def fused(model: bytes) -> Graph:
    """The graph of 8-bit products, made from the published file."""
    session = _session(fused_model(model))

    def graph(ids: Sequence[int]) -> NDArray[np.float32]:
        (hidden,) = session.run(None, {INPUT: np.array(ids, np.int64)})
        return _unit(hidden[0])

    return graph


def published(model: bytes) -> Graph:
    """The graph as published, which computes in 32 bits."""
    session = _session(model)

    def graph(ids: Sequence[int]) -> NDArray[np.float32]:
        row = np.array([ids], np.int64)
        feed = {
            "input_ids": row,
            "attention_mask": np.ones_like(row),
            "token_type_ids": np.zeros_like(row),
        }
        (hidden,) = session.run(None, feed)
        return _unit(hidden[0])

    return graph


def _session(model: bytes) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Parallelism comes from our own threads: several small runs at once beat one wide one.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Texts differ in length: a plan of memory for each shape seen costs 80 MB and saves no time.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _unit(hidden: NDArray[np.float32]) -> NDArray[np.float32]:
    mean = hidden.mean(axis=0)
    unit: NDArray[np.float32] = mean / np.linalg.norm(mean)
    return unit


def _ids(text: str) -> list[int]:
    ids: list[int] = tokenizer().encode(text).ids
    return ids
