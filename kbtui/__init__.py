"""kbtui: a terminal app that feeds documents into a knowledge base."""

__version__ = "0.1.0"
