"""`kbtui search`: what the knowledge base has on a question."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from typing import Any, Final

from kbtui.cli.common import report, run_async, settings_from
from kbtui.cli.exits import CommandError, Exit
from kbtui.cli.logs import set_up_logging
from kbtui.client.engine import CallFailed, Engine
from kbtui.client.settings import Settings
from kbtui.connection import ConnectTimeout, FatalConnectError, KbtuiConnectionError, RequestTimeout
from kbtui.protocol.methods import ChunkHit, EntityHit
from kbtui.state.excerpt import excerpt
from kbtui.state.text import plain

SHOWN: Final = 400
"""Characters of a passage that are shown to a person; --json has all of it."""

WIDTH: Final = 88


def run(arguments: argparse.Namespace) -> int:
    """Search and return the exit code."""
    try:
        settings = settings_from(arguments)
        set_up_logging(verbose=arguments.verbose, log_file=arguments.log_file)
        return run_async(_search(arguments, settings))
    except CommandError as error:
        return report(error)


async def _search(arguments: argparse.Namespace, settings: Settings) -> int:
    engine = Engine(settings, adopt_all=False)
    query = " ".join(arguments.query)
    try:
        await engine.service.connect()
        if arguments.entities:
            entities = (await engine.search_entities(query, arguments.limit)).entities
            _show(
                [_entity_fields(hit) for hit in entities], [_entity(h) for h in entities], arguments
            )
        else:
            chunks = (await engine.search_chunks(query, arguments.limit)).chunks
            _show(
                [_chunk_fields(hit) for hit in chunks],
                [_chunk(h, query) for h in chunks],
                arguments,
            )
    except (ConnectTimeout, FatalConnectError) as error:
        text = f"no connection to {engine.server_label}: {error}"
        raise CommandError(Exit.NOT_CONNECTED, text) from None
    except RequestTimeout as error:
        raise CommandError(Exit.TIMEOUT, str(error)) from None
    except KbtuiConnectionError as error:
        raise CommandError(Exit.NOT_CONNECTED, str(error)) from None
    except CallFailed as error:
        raise CommandError(Exit.SOME_FAILED, str(error)) from None
    finally:
        await engine.aclose()
    return int(Exit.DONE)


def _show(rows: list[dict[str, Any]], texts: list[str], arguments: argparse.Namespace) -> None:
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
    elif not texts:
        print("nothing found", file=sys.stderr)
    else:
        print("\n\n".join(texts))


def _chunk_fields(hit: ChunkHit) -> dict[str, Any]:
    return {
        "document_name": hit.document_name,
        "document_id": hit.document_id,
        "text": hit.text,
        "similarity": hit.similarity,
        "page": hit.page_number,
        "heading": hit.heading,
    }


def _chunk(hit: ChunkHit, query: str) -> str:
    where = [plain(hit.document_name)]
    if hit.page_number is not None:
        where.append(f"page {hit.page_number}")
    if hit.heading:
        where.append(plain(hit.heading))
    if hit.similarity is not None:
        where.append(f"similarity {hit.similarity:.2f}")
    passage = excerpt(hit.text, query, SHOWN)
    body = textwrap.fill(plain(passage), WIDTH, initial_indent="  ", subsequent_indent="  ")
    return f"{' | '.join(where)}\n{body}"


def _entity_fields(hit: EntityHit) -> dict[str, Any]:
    return {
        "id": hit.id,
        "name": hit.name,
        "type": hit.type,
        "description": hit.description,
        "properties": hit.properties,
        "confidence": hit.confidence,
        "similarity": hit.similarity,
    }


def _entity(hit: EntityHit) -> str:
    first = f"{plain(hit.name)} | {plain(hit.type)} | confidence {hit.confidence:.2f}"
    if not hit.description:
        return first
    body = textwrap.fill(plain(hit.description), WIDTH, initial_indent="  ", subsequent_indent="  ")
    return f"{first}\n{body}"
