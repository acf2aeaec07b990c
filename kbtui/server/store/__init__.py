"""Keeping documents in SQLite and finding them again."""
