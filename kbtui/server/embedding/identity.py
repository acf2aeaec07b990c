"""Which embedder made a vector; cheap to import, loads nothing."""

from __future__ import annotations

from typing import Final

EMBEDDER_ID: Final = "all-MiniLM-L6-v2-onnx-int8@8199be6f699a/mean/256"
"""Model, first digits of its SHA-256, pooling and token limit: vectors of two embedders cannot be
compared, so whatever changes a vector must change this name."""

DIMENSIONS: Final = 384
"""Length of a vector."""
