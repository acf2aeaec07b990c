"""The checks on this machine: what is looked at before it is judged."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kbtui.client.doctor.environment import Environment
from kbtui.client.doctor.findings import Finding
from kbtui.client.doctor.judge_local import (
    Place,
    Sight,
    judge_disk,
    judge_folders,
    judge_journal,
    judge_journal_error,
    judge_libraries,
    judge_limits,
    judge_path,
    judge_token,
)
from kbtui.client.settings import Settings
from kbtui.ingest.journal import SCHEMA_VERSION
from kbtui.protocol.messages import MAX_FRAME_BYTES

LIBRARIES: Final = ("kbtui", "websockets", "msgspec", "watchfiles", "textual")


class LocalChecks:
    """The checks that need no network."""

    def __init__(
        self, settings: Settings, environment: Environment, server_modules: Sequence[str]
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._server_modules = server_modules
        self._embedded = settings.endpoint is None

    async def folders(self) -> Finding:
        """Whether kbtui's folders can be written."""
        paths = self._settings.paths
        folders = [paths.state, paths.log, *([paths.data] if self._embedded else [])]

        def look() -> dict[str, str]:
            found = {str(folder): self._environment.unusable(folder) for folder in folders}
            return {folder: why for folder, why in found.items() if why is not None}

        return judge_folders(await self._environment.in_thread(look, "folders"), log=str(paths.log))

    async def disk(self) -> Finding:
        """Room on the disks."""
        paths = self._settings.paths
        folders = [paths.state, *([paths.data] if self._embedded else [])]

        def look() -> dict[str, int]:
            return {str(folder): self._environment.free_bytes(folder) for folder in folders}

        return judge_disk(await self._environment.in_thread(look, "disk"))

    async def journal(self) -> Finding:
        """Whether the journal opens."""
        state = self._settings.paths.state
        try:
            schema = await self._environment.in_thread(
                lambda: self._environment.journal_schema(state), "journal"
            )
        except (sqlite3.Error, OSError) as error:
            return judge_journal_error(str(state), error)
        return judge_journal(str(state), schema, SCHEMA_VERSION)

    async def libraries(self) -> Finding:
        """Versions, and what the embedded server lacks."""
        environment = self._environment
        versions = {name: environment.version_of(name) for name in LIBRARIES}
        missing = [name for name in self._server_modules if not environment.has_module(name)]
        return judge_libraries(versions, missing if self._embedded else None)

    async def token(self) -> Finding:
        """Whether the token can be one."""
        endpoint = self._settings.endpoint
        return judge_token("" if endpoint is None else endpoint.token or "")

    async def limits(self) -> Finding:
        """Sizes and memory."""
        return judge_limits(
            self._environment.memory_bytes(),
            embedded=self._embedded,
            message_bytes=MAX_FRAME_BYTES,
        )

    async def path(self, path: Path, place: Place, server: str) -> Finding:
        """Whether the server can be expected to see a path."""
        sight = await self._environment.in_thread(lambda: sight_of(path), "path")
        remote = self._settings.policy.path_map.remote(sight.path)
        return judge_path(sight, place, server, remote)


def sight_of(path: Path) -> Sight:
    """Look at a path, without opening it."""
    shown = os.path.abspath(path)
    try:
        is_folder = Path(shown).is_dir()
        exists = is_folder or Path(shown).exists()
        size = Path(shown).stat().st_size if exists and not is_folder else None
    except OSError:
        return Sight(shown, exists=True, readable=False, size=None)
    readable = os.access(shown, os.R_OK | os.X_OK if is_folder else os.R_OK)
    return Sight(shown, exists=exists, readable=readable, size=size)
