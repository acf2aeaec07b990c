"""Where kbtui keeps its files on this platform."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "KBTUI_HOME"


@dataclass(frozen=True, slots=True)
class Paths:
    """`data`: the embedded knowledge base. `state`: the journal. `log`: log files."""

    data: Path
    state: Path
    log: Path

    def make(self) -> None:
        """Create the folders, readable by their owner only; without `log` kbtui works as well."""
        for folder in (self.data, self.state):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            self.log.mkdir(mode=0o700, parents=True, exist_ok=True)


def default_paths() -> Paths:
    """The platform's folders for this user, or those under $KBTUI_HOME where it is set."""
    home = os.environ.get(HOME_VARIABLE)
    if home:
        base = Path(home).expanduser().absolute()
        return Paths(base / "data", base / "state", base / "log")
    import platformdirs

    return Paths(
        platformdirs.user_data_path("kbtui", appauthor=False),
        platformdirs.user_state_path("kbtui", appauthor=False),
        platformdirs.user_log_path("kbtui", appauthor=False),
    )
