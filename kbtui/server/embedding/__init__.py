"""Turning text into vectors with MiniLM on onnxruntime."""
