"""A KBV2 server made of recordings of the real one, for tests."""
