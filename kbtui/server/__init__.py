"""The embedded knowledge-base server."""
