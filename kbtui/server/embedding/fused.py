"""The embedding model's graph written anew: 8-bit matrix products and fused operators.

The published file keeps its weights in 8 bits, one scale an output channel, but widens them to 32
bits to compute. The same 8-bit weights go into onnxruntime's 8-bit products here as they are; only
the activations are rounded, to unsigned 8 bits with one scale a product, found as it runs.

Weights stay signed: made unsigned they take 1.4 times as long where the processor has VNNI. Where
it has not, the sum of two products may saturate; `golden` finds out whether that hurts.

One text a run: the scale is that of the whole activation, so in a batch a text's vector would
depend on its neighbours. Without neighbours there is no padding, and so no mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from kbtui.server.embedding.onnx_file import GraphWriter, read_constants

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

INPUT: Final = "input_ids"

_LAYERS: Final = 6
_HEADS: Final = 12
_MATRICES: Final = 6
"""Weight matrices of a layer, in the file's order: query, key, value, attention's output, and the
two of the feed-forward part."""
_EPSILON: Final = 1e-12
_FUSED: Final = "com.microsoft"


def fused_model(published: bytes) -> bytes:
    """The file of the fused graph, made from the bytes of the published one: token ids of one
    text, shape (tokens,), to its last hidden states, shape (1, tokens, 384).

    Raises:
        ValueError, LookupError: the file is not the published one.
    """
    return _Builder(GraphWriter(), read_constants(published)).build()


@dataclass(frozen=True, slots=True)
class _Builder:
    graph: GraphWriter
    constants: dict[str, NDArray[Any]]

    def build(self) -> bytes:
        # The tracer gave the matrices, and nothing else in 8 bits, numbers for names.
        matrices = [
            name.removesuffix("_q")
            for name in self.constants
            if name.startswith("val_") and name.endswith("_q")
        ]
        if len(matrices) != _LAYERS * _MATRICES:
            raise ValueError(f"{len(matrices)} weight matrices")
        hidden = self._embeddings("inner.embeddings.")
        for layer in range(_LAYERS):
            of_layer = matrices[layer * _MATRICES : (layer + 1) * _MATRICES]
            hidden = self._layer(hidden, f"inner.encoder.layer.{layer}.", of_layer)
        return self.graph.model(INPUT, hidden, _FUSED)

    def _embeddings(self, prefix: str) -> str:
        """Word, position and type of each token, added and normalised. The table of words stays
        in 8 bits, a quarter of the memory: only the rows of a text are widened."""
        graph = self.graph
        words = graph.constant(self.constants[prefix + "word_embeddings.weight_q"])
        scales = graph.constant(self.constants[prefix + "word_embeddings.weight_scale"])
        (rows,) = graph.node("Gather", words, INPUT)
        (rows,) = graph.node("Cast", rows, to=1)
        (scale,) = graph.node("Gather", scales, INPUT)
        (rows,) = graph.node("Mul", rows, scale)
        table = (
            self.constants[prefix + "position_embeddings.weight_q"].astype(np.float32)
            * self.constants[prefix + "position_embeddings.weight_scale"]
            + self.constants[prefix + "token_type_embeddings.weight"][0]
        )
        zero = graph.constant(np.array([0]))
        (length,) = graph.node("Shape", INPUT)
        (places,) = graph.node("Slice", graph.constant(table), zero, length, zero)
        (rows,) = graph.node("Unsqueeze", rows, zero)
        (places,) = graph.node("Unsqueeze", places, zero)
        return self._normalised(rows, places, prefix + "LayerNorm.")

    def _layer(self, hidden: str, prefix: str, matrices: Sequence[str]) -> str:
        graph = self.graph
        own, result = prefix + "attention.self.", prefix + "attention.output."
        bias = np.concatenate([self.constants[f"{own}{x}.bias"] for x in ("query", "key", "value")])
        joined = self._product(hidden, matrices[:3], graph.constant(bias))
        parts = graph.node("Split", joined, outputs=3, axis=2)
        (seen,) = graph.node("MultiHeadAttention", *parts, domain=_FUSED, num_heads=_HEADS)
        seen = self._product(seen, matrices[3:4])
        hidden = self._normalised(seen, hidden, result + "LayerNorm.", result + "dense.bias")
        wide = self._product(hidden, matrices[4:5])
        inner = graph.constant(self.constants[prefix + "intermediate.dense.bias"])
        (wide,) = graph.node("BiasGelu", wide, inner, domain=_FUSED)
        narrow = self._product(wide, matrices[5:6])
        result = prefix + "output."
        return self._normalised(narrow, hidden, result + "LayerNorm.", result + "dense.bias")

    def _product(self, value: str, matrices: Sequence[str], *bias: str) -> str:
        """The product with matrices set side by side, so that `value` is rounded once."""
        weights = np.concatenate([self.constants[f"{name}_q"] for name in matrices], axis=1)
        scales = np.concatenate([self.constants[f"{name}_scale"][0] for name in matrices])
        inputs = [value, self.graph.constant(weights), self.graph.constant(scales)]
        if bias:
            # The weights are symmetric: they have no zero point.
            inputs += ["", *bias]
        return self.graph.node("DynamicQuantizeMatMul", *inputs, domain=_FUSED)[0]

    def _normalised(self, value: str, skip: str, norm: str, *bias: str) -> str:
        """The layer's norm of a sum; `bias` names a constant that is added too."""
        names = (norm + "weight", norm + "bias", *bias)
        constants = [self.graph.constant(self.constants[name]) for name in names]
        return self.graph.node(
            "SkipLayerNormalization", value, skip, *constants, domain=_FUSED, epsilon=_EPSILON
        )[0]
