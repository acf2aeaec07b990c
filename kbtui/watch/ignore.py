"""Which names in a watched folder are passed over, and by which rule."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

RULES: Final = (
    "@eadir",
    ".ds_store",
    "thumbs.db",
    ".stfolder",
    ".stversions",
    ".#*",
    "~$*",
    "*~",
    "*.swp",
    "*.part",
    "*.tmp",
    "*.crdownload",
    ".*",
)
"""Names, in lower case, of what editors, browsers, file managers and synchronisers put beside
documents, and hidden names: files and folders. The first rule that fits is the one to tell."""


def ignored_by(name: str) -> str | None:
    """The rule by which a file or folder of this name is ignored, whatever its case; else None."""
    lowered = name.lower()
    return next((rule for rule in RULES if fnmatchcase(lowered, rule)), None)
