"""What the commands share: settings from arguments, one way to report an error."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from kbtui.cli.exits import SIGNAL_BASE, CommandError, Exit
from kbtui.cli.redaction import keep_secret, shown
from kbtui.client.settings import DEFAULT_PORT, Settings, SettingsError, endpoint_from, url_of
from kbtui.connection import Endpoint, FatalConnectError
from kbtui.connection.tls import client_context
from kbtui.ingest.mapping import InvalidMapping, path_map
from kbtui.ingest.policy import QueuePolicy
from kbtui.paths import default_paths


def settings_from(arguments: argparse.Namespace) -> Settings:
    """The settings that a command line asks for. Raises CommandError."""
    paths = default_paths()
    token = token_from(arguments.token_env)
    if arguments.server and (arguments.host or arguments.port is not None):
        raise CommandError(Exit.USAGE, "give either --server or --host and --port, not both")
    url = arguments.server
    if url is None and (arguments.host or arguments.port is not None):
        port = DEFAULT_PORT if arguments.port is None else arguments.port
        url = url_of(arguments.host or "127.0.0.1", port)
    if url is None and token is not None:
        raise CommandError(Exit.USAGE, "--token-env needs --server: the embedded server needs none")
    return Settings(paths=paths, endpoint=_endpoint(arguments, url, token))


def _endpoint(arguments: argparse.Namespace, url: str | None, token: str | None) -> Endpoint | None:
    files = {
        "ca_file": arguments.ca,
        "client_certificate": arguments.cert,
        "client_key": arguments.key,
    }
    if url is None:
        if any(files.values()):
            raise CommandError(Exit.USAGE, "--ca, --cert and --key go with --server wss://...")
        return None
    try:
        endpoint = replace(endpoint_from(url, token), **files)
        # Files that cannot be used are a matter of configuration: said now, not at each attempt.
        client_context(endpoint)
    except (SettingsError, FatalConnectError) as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    return endpoint


def policy_from(arguments: argparse.Namespace) -> QueuePolicy:
    """The queue's policy that a command line asks for. Raises CommandError."""
    policy = replace(
        places_from(arguments),
        timeout=arguments.timeout,
        skip_duplicates=arguments.on_duplicate == "skip",
        resubmit_unknown=arguments.on_unknown == "resubmit",
    )
    if arguments.concurrency is not None:
        policy = replace(policy, concurrency=arguments.concurrency)
    return policy


def places_from(arguments: argparse.Namespace) -> QueuePolicy:
    """The default policy, but for where a server sees our files. Raises CommandError."""
    try:
        mapping = path_map(arguments.map or ())
    except InvalidMapping as error:
        raise CommandError(Exit.USAGE, f"--map: {error}") from None
    upload = None if arguments.upload == "never" else arguments.upload
    return QueuePolicy(path_map=mapping, upload=upload)


def token_from(variable: str | None) -> str | None:
    """The token in an environment variable. Raises CommandError where there is none."""
    if variable is None:
        return None
    token = os.environ.get(variable)
    if not token:
        raise CommandError(Exit.USAGE, f"the variable {variable} (--token-env) is not set")
    keep_secret(token)
    return token


def report(error: CommandError) -> int:
    """Print the sentence on stderr; returns the exit code."""
    print(f"kbtui: {shown(str(error))}", file=sys.stderr)
    return int(error.exit_code)


class Interrupted(Exception):
    """A signal asked the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = SIGNAL_BASE + number


def run_async(work: Coroutine[Any, Any, int]) -> int:
    """Run a command's coroutine; SIGINT, SIGTERM and SIGHUP cancel it and give 128 + n."""
    try:
        return asyncio.run(_until_signal(work))
    except Interrupted as interrupted:
        return interrupted.exit_code


async def _until_signal(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.ensure_future(work)
    caught: list[int] = []

    def stop(number: int) -> None:
        caught.append(number)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if caught:
            raise Interrupted(caught[0]) from None
        raise
