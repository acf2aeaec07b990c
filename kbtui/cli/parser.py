"""The arguments of every command. Imports nothing heavy: `--help` and `--version` are instant."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kbtui import __version__

DESCRIPTION = "Feed documents into a knowledge base, with live progress, and find them again."
EPILOG = """\
commands:
  kbtui [PATH...]          the app; with PATHs it ingests them
  kbtui ingest PATH...     ingest files or folders without the app
  kbtui watch DIR...       the app, with folders whose new documents are ingested
  kbtui search QUERY       find passages (or, with --entities, entities)
  kbtui serve              run the knowledge-base server
  kbtui doctor [PATH...]   check the way to the server, and say what to do
  kbtui info               where things are; versions

`kbtui COMMAND --help` tells more. A path with the name of a command is written ./NAME.

exit codes: 0 all done; 1 some failed; 2 usage or configuration; 3 could not connect;
4 a timeout; 5 an outcome unknown; 6 refused; 128+n ended by signal n
"""


def app_parser() -> argparse.ArgumentParser:
    """`kbtui [PATH...]`."""
    parser = argparse.ArgumentParser(
        prog="kbtui",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kbtui {__version__}")
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders")
    parser.add_argument("--domain", metavar="D", help="the domain to put the documents in")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    _add_server(parser)
    _add_policy(parser)
    _add_places(parser)
    _add_common(parser)
    return parser


def ingest_parser() -> argparse.ArgumentParser:
    """`kbtui ingest PATH...`."""
    parser = _command("ingest", "Ingest files, or all documents in folders, without the app.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files or folders")
    parser.add_argument("--name", metavar="N", help="the document's name (one file only)")
    parser.add_argument("--domain", metavar="D", help="the domain to put the documents in")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    _add_server(parser)
    _add_policy(parser)
    _add_places(parser)
    _add_common(parser)
    return parser


def watch_parser() -> argparse.ArgumentParser:
    """`kbtui watch DIR...`."""
    parser = _command("watch", "Ingest what is in folders and whatever is put there from now on.")
    parser.add_argument("roots", nargs="+", type=Path, metavar="DIR", help="folders to watch")
    parser.add_argument(
        "--headless", action="store_true", help="without the app, until a signal: a service"
    )
    parser.add_argument(
        "--json", action="store_true", help="with --headless: one JSON object a line on stdout"
    )
    parser.add_argument("--domain", metavar="D", help="the domain to put the documents in")
    parser.add_argument(
        "--settle",
        type=_seconds,
        default=5.0,
        metavar="S",
        help="ingest a file once it has not changed for S seconds (5)",
    )
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    _add_server(parser)
    # Every start offers the folders' content anew: without skipping, it would be stored anew.
    _add_policy(parser, choose_on_duplicate=False)
    _add_places(parser)
    _add_common(parser)
    return parser


def search_parser() -> argparse.ArgumentParser:
    """`kbtui search QUERY`."""
    parser = _command("search", "Find passages, or entities, in the knowledge base.")
    parser.add_argument("query", nargs="+", metavar="QUERY", help="what to look for")
    parser.add_argument("--entities", action="store_true", help="find entities, not passages")
    parser.add_argument(
        "--limit", type=_count, default=5, metavar="N", help="the most hits to show (5)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a hit on stdout")
    _add_server(parser)
    _add_common(parser)
    return parser


def serve_parser() -> argparse.ArgumentParser:
    """`kbtui serve`."""
    parser = _command("serve", "Run the knowledge-base server until it is told to stop.")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on (127.0.0.1: this machine only)",
    )
    parser.add_argument("--port", type=_port, default=8765, help="the port (8765); 0: a free one")
    parser.add_argument(
        "--root",
        action="append",
        type=Path,
        metavar="DIR",
        help="a folder that clients may have files read from; several are possible "
        "(the current folder)",
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="where the knowledge base is kept")
    parser.add_argument(
        "--token-env", metavar="VAR", help="the variable that holds the token clients must show"
    )
    parser.add_argument(
        "--private",
        action="store_true",
        help="make a random token that only this user's kbtui can read",
    )
    parser.add_argument(
        "--idle-exit",
        type=_seconds,
        metavar="S",
        help="end when for S seconds there was neither a client nor work",
    )
    parser.add_argument(
        "--max-upload",
        type=_mebibytes,
        default=512 << 20,
        metavar="MIB",
        help="the largest file that a client may send, in MiB (512)",
    )
    _add_common(parser)
    return parser


def doctor_parser() -> argparse.ArgumentParser:
    """`kbtui doctor [PATH...]`."""
    parser = _command(
        "doctor",
        "Check this machine, the way to the server and the server, in less than 30 seconds. "
        "Nothing on the server is changed; a KBV2 server, though, sends the progress of somebody "
        "else's running ingestion to whoever connected last. Exits with 0 where nothing failed, "
        "else with 3.",
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="files or folders that the server should see",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a check on stdout")
    _add_server(parser)
    _add_places(parser)
    _add_common(parser)
    return parser


def info_parser() -> argparse.ArgumentParser:
    """`kbtui info`."""
    parser = _command("info", "Where kbtui keeps its files, and the versions of its parts.")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    _add_common(parser)
    return parser


COMMANDS: Final[dict[str, Callable[[], argparse.ArgumentParser]]] = {
    "ingest": ingest_parser,
    "watch": watch_parser,
    "search": search_parser,
    "serve": serve_parser,
    "doctor": doctor_parser,
    "info": info_parser,
}
"""The commands by name, each a module of this package with a `run`. Without a name it is `app`."""


def _command(name: str, description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"kbtui {name}", description=description)


def _add_server(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "server", "Without these, the embedded server is found or started."
    )
    group.add_argument("--server", metavar="URL", help="ws://HOST:PORT/ws or wss://...")
    group.add_argument("--host", help="the server's host (with ws:// and KBV2's path)")
    group.add_argument("--port", type=_port, help="the server's port (8765)")
    group.add_argument("--token-env", metavar="VAR", help="the variable that holds the token")
    group.add_argument(
        "--ca", type=Path, metavar="FILE", help="trust the authorities in this PEM file (wss://)"
    )
    group.add_argument(
        "--cert", type=Path, metavar="FILE", help="the client certificate to show (PEM, wss://)"
    )
    group.add_argument(
        "--key", type=Path, metavar="FILE", help="its key, where it is not in the same file"
    )


def _add_policy(parser: argparse.ArgumentParser, *, choose_on_duplicate: bool = True) -> None:
    group = parser.add_argument_group("documents")
    group.add_argument(
        "--timeout",
        type=_seconds,
        default=3600.0,
        metavar="S",
        help="the longest wait for one document, in seconds (3600)",
    )
    group.add_argument(
        "--concurrency",
        type=_count,
        metavar="N",
        help="documents at once (3; a KBV2 server always takes one)",
    )
    if choose_on_duplicate:
        group.add_argument(
            "--on-duplicate",
            choices=("skip", "force"),
            default="skip",
            help="content that is there already: leave it out (skip), or store it again",
        )
    else:
        parser.set_defaults(on_duplicate="skip")
    group.add_argument(
        "--on-unknown",
        choices=("ask", "resubmit", "keep"),
        default="ask",
        help="a document whose answer was lost: ask (on a terminal), send it again, "
        "or leave it; sending again may store it twice",
    )


def _add_places(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("a server on another machine")
    group.add_argument(
        "--map",
        action="append",
        metavar="LOCAL=REMOTE",
        help="the server sees the folder LOCAL as REMOTE; several are possible",
    )
    group.add_argument(
        "--upload",
        choices=("auto", "always", "never"),
        default="auto",
        help="send files that the server does not see with the same content (auto), all, or none; "
        "a KBV2 server cannot take them",
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-v", "--verbose", action="store_true", help="explain each step on stderr")
    parser.add_argument("-q", "--quiet", action="store_true", help="say only what went wrong")
    parser.add_argument("--log-file", type=Path, metavar="FILE", help="write a log there")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1e9 or math.isnan(value):
        raise ValueError
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:
        raise ValueError
    return value


def _mebibytes(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1 << 20:
        raise ValueError
    return value << 20


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise ValueError
    return value
