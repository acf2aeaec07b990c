"""Watched folders: what is on disk, and when a file has settled."""
