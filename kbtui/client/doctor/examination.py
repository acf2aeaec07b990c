"""The examination: the checks in order, each with its time limit, later ones given up in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kbtui.client.doctor.environment import Environment
from kbtui.client.doctor.findings import Check, Finding, Status, failed, skipped, warning
from kbtui.client.doctor.local import LocalChecks
from kbtui.client.doctor.network import ServerChecks
from kbtui.client.settings import Settings

log = logging.getLogger(__name__)

ALL_SECONDS: Final = 27.0
"""The whole examination; with the closing of the connection it stays below 30 s."""


@dataclass(frozen=True, slots=True)
class Step:
    """A check: its name, what does it, its limit in seconds, and what to do when that is reached.

    It is skipped where one of `needs` has failed or was skipped itself.
    """

    name: str
    work: Callable[[], Awaitable[Finding]]
    limit: float
    when_slow: str
    needs: tuple[str, ...] = ()


class Examination:
    """All checks on one server, for one run of `kbtui doctor`.

    Nothing on the server is changed; the embedded one is started where it does not run.
    `server_modules` are the modules that the embedded server needs.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Environment,
        paths: Sequence[Path],
        server_modules: Sequence[str],
    ) -> None:
        self._local = LocalChecks(settings, environment, server_modules)
        self._server = ServerChecks(settings, environment)
        self._embedded = settings.endpoint is None
        self._has_token = settings.endpoint is not None and settings.endpoint.token is not None
        self._paths = paths

    async def run(self) -> AsyncIterator[Check]:
        """Each check as it is done."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ALL_SECONDS
        missing: dict[str, str] = {}
        try:
            for step in self._steps():
                began = loop.time()
                because = next((missing[name] for name in step.needs if name in missing), None)
                if because is None:
                    finding = await self._finding(step, deadline - began)
                else:
                    finding = skipped(because)
                if finding.status is Status.FAIL:
                    missing[step.name] = f"{step.name} failed"
                elif finding.status is Status.SKIP:
                    missing[step.name] = because or f"{step.name} was skipped"
                check = Check(step.name, finding, loop.time() - began)
                log.info("%s: %s (%s)", check.name, finding.status, finding.detail)
                yield check
        finally:
            await self._server.aclose()

    async def _finding(self, step: Step, left: float) -> Finding:
        if left <= 0:
            step_text = "see what took so long, and run it again"
            return warning(f"not checked: {ALL_SECONDS:g} s were up", step_text)
        limit = min(step.limit, left)
        try:
            async with asyncio.timeout(limit):
                return await step.work()
        except TimeoutError:
            return failed(f"not done within {limit:.0f} s", step.when_slow)
        except Exception as error:
            # A defect in one check must not hide what the others find.
            log.exception("the check %s broke", step.name)
            return failed(f"the check itself broke: {error!r}", "report this as a fault of kbtui")

    def _steps(self) -> list[Step]:
        local, server = self._local, self._server
        disk = "the disk hangs: a network disk may be gone"
        steps = [
            Step("folders", local.folders, 3.0, disk),
            Step("disk", local.disk, 2.0, disk),
            Step("journal", local.journal, 4.0, f"{disk}; another kbtui may hold the journal"),
            Step("libraries", local.libraries, 3.0, disk),
        ]
        if self._embedded:
            slow = "run `kbtui serve` to see what it waits for"
            steps.append(Step("server", server.embedded, 12.0, slow, ("folders", "libraries")))
        if self._has_token:
            steps.append(Step("token", local.token, 1.0, ""))
        hangs = "the server accepts connections but does not answer: look into its log, restart it"
        steps += [
            Step(
                "dns",
                server.dns,
                4.0,
                "the DNS server does not answer: check this machine's network",
                ("server",) if self._embedded else (),
            ),
            Step("tcp", server.tcp, 4.0, "", ("dns",)),
            Step("tls", server.tls, 4.0, f"{hangs}; or write ws://", ("tcp",)),
            Step("health", server.health, 4.0, hangs, ("tcp", "tls")),
            Step("websocket", server.websocket, 5.0, hangs, ("token", "tcp", "tls")),
            Step("protocol", server.protocol, 1.0, "", ("websocket",)),
            Step("ping", server.ping, 4.0, hangs, ("websocket",)),
            Step(
                "search",
                server.search,
                5.0,
                "the server is busy, or its language model or embedding hangs: look into its log",
                ("websocket",),
            ),
        ]
        for path in self._paths:
            steps.append(self._path_step(path))
        steps += [
            Step("clock", server.clock, 4.0, hangs, ("health",)),
            Step("limits", local.limits, 2.0, ""),
        ]
        return steps

    def _path_step(self, path: Path) -> Step:
        async def look() -> Finding:
            return await self._local.path(path, self._server.place(), self._server.label)

        return Step("path", look, 3.0, "the disk hangs: a network disk may be gone")
