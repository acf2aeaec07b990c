"""Figures and texts made to fit: durations, sizes, clipped text, progress bars."""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def duration(seconds: float | None) -> str:
    """Seconds as a clock: "0:07", "12:04", "1:02:33", "3d 04h"; empty for None."""
    if seconds is None:
        return ""
    whole = int(max(0.0, seconds))
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 48:
        days, hour = divmod(hours, 24)
        return f"{days}d {hour:02}h"
    if hours:
        return f"{hours}:{minute:02}:{second:02}"
    return f"{minute}:{second:02}"


def took(seconds: float | None) -> str:
    """How long something that is over took: "45 ms", "0.3 s"; from ten seconds on a clock."""
    if seconds is None or seconds >= 10:
        return duration(seconds)
    return f"{max(0.0, seconds):.1f} s" if seconds >= 0.1 else latency(max(0.0, seconds))


def file_size(size: int) -> str:
    """Bytes as people read them, with powers of 1000; empty for an unknown (zero) size."""
    if size <= 0:
        return ""
    amount = float(size)
    for unit in _UNITS[:-1]:
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit in "BkB" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} {_UNITS[-1]}"


def latency(seconds: float) -> str:
    """A round trip: milliseconds below a second."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def count(number: int, singular: str, plural: str | None = None) -> str:
    """ "1 document", "2 documents"."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def fit(text: str, width: int, *, right: bool = False, ellipsis: str = "…") -> str:
    """`text` in exactly `width` cells: padded, or cut with an ellipsis. Wide characters count 2."""
    if width <= 0:
        return ""
    # A character takes at least no cells: what lies beyond this is cut without measuring it.
    text = text[: width * 4 + 8]
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + ellipsis if width > 1 else ellipsis
    padding = " " * (width - length)
    return padding + text if right else text + padding


def wrap(text: str, width: int) -> list[str]:
    """Break `text` at spaces into lines of at most `width` cells; long words are cut."""
    width = max(1, width)
    lines: list[str] = []
    line, used = "", 0
    for word in text.split(" "):
        rest, size = word, cell_len(word)
        if line and used + 1 + size <= width:
            line, used = f"{line} {rest}", used + 1 + size
            continue
        if line:
            lines.append(line)
        while size > width:
            head = set_cell_size(rest, width).rstrip(" ") or rest[0]
            lines.append(head)
            rest = rest[len(head) :]
            size = cell_len(rest)
        line, used = rest, size
    lines.append(line)
    return lines


def bar(fraction: float, width: int, full: str, half: str, empty: str) -> tuple[str, str]:
    """The done and the missing part of a progress bar of `width` cells."""
    halves = int(max(0.0, min(1.0, fraction)) * width * 2)
    done = full * (halves // 2) + (half if halves % 2 else "")
    return done, empty * (width - len(done))


def strip(segments: list[Segment], width: int, base: Style) -> Strip:
    """One line of exactly `width` cells."""
    return Strip(segments).adjust_cell_length(width, base)
