"""What is on disk against what is known: new, changed, vanished, settling, settled. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kbtui.watch.scan import Look, Scan
from kbtui.watch.settle import Settling, Signature, Verdict, judge


@dataclass(frozen=True, slots=True)
class Difference:
    """How the files of a look differ from what was handed over.

    `settling` holds everything that is not handed over as it now is: also what is empty, and what
    is settled (`ready`, sorted by name). `new` and `changed` count what is seen for the first
    time in this state.
    """

    settling: dict[str, Settling]
    ready: list[str]
    empty: int
    new: int
    changed: int


def reconcile(
    look: Look,
    handed_over: Mapping[str, Signature],
    settling: Mapping[str, Settling],
    settle: float,
) -> Difference:
    """Judge every file of a look; `settle` in seconds."""
    still: dict[str, Settling] = {}
    ready: list[str] = []
    empty = new = changed = 0
    for name, signature in look.files.items():
        handed = handed_over.get(name)
        if handed == signature:
            continue
        before = settling.get(name)
        after, verdict = judge(before, signature, began=look.began, ended=look.ended, settle=settle)
        still[name] = after
        empty += verdict is Verdict.EMPTY
        if verdict is Verdict.SETTLED:
            ready.append(name)
        if after is not before:
            new += before is None and handed is None
            changed += before is not None or handed is not None
    return Difference(still, sorted(ready), empty, new, changed)


def vanished(scan: Scan, known: Iterable[str]) -> list[str]:
    """Which of the known files are no longer there.

    None where that cannot be known: in folders that could not be read, in a root that is offline,
    and in one that is suddenly empty, as a mount point is when its file system has gone.
    """
    files = scan.look.files
    if scan.offline is not None or not files:
        return []
    unread = tuple(scan.unread)
    return [name for name in known if name not in files and not name.startswith(unread)]
