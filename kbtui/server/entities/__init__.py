"""Entities and relations, found by rules."""
