"""Tests of kbtui."""
