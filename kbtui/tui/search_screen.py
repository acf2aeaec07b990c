"""Search: proof that a document landed. Passages on one side, entities on the other."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.screen import Screen
from textual.widgets import Input, Label, Static

from kbtui.protocol.methods import ChunkHits, EntityHits
from kbtui.state.text import plain
from kbtui.tui.backend import Backend
from kbtui.tui.bars import KeyBar
from kbtui.tui.hits import EntitiesPane, PassagesPane
from kbtui.tui.lines import TextPane
from kbtui.tui.text import count

LIMIT = 20


class SearchScreen(Screen[None]):
    """Ask the knowledge base, read the passages, copy one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", show=False),
        Binding("slash,s,ctrl+f", "type", show=False),
        Binding("y", "copy", show=False),
    ]

    def __init__(self, backend: Backend, query: str = "") -> None:
        super().__init__()
        self._backend = backend
        self._query_text = query

    def compose(self) -> ComposeResult:
        """The question, its answer, the keys."""
        with Horizontal(id="bar"):
            yield Label("Search", classes="name", markup=False)
            yield Input(self._query_text, placeholder="what to find, in your own words", id="query")
        yield Static("Type a question and press enter.", id="status", markup=False)
        with Container(id="body"):
            yield PassagesPane(id="hits")
            yield EntitiesPane(id="entities")
        yield KeyBar(id="keybar")

    def on_mount(self) -> None:
        """Type first."""
        self.query_one("#query").focus()
        self.query_one(KeyBar).show(
            [
                ("enter", "Search", "screen.search"),
                ("tab", "Next pane", "app.focus_next"),
                ("j k", "Passage", ""),
                ("/", "Question", "screen.type"),
                ("y", "Copy", "screen.copy"),
                ("esc", "Back", "screen.close"),
            ]
        )

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.action_search()

    def action_search(self) -> None:
        """Ask what stands in the field."""
        query = self.query_one("#query", Input).value.strip()
        if query:
            self._search(query)

    @work(exclusive=True, group="search")
    async def _search(self, query: str) -> None:
        self._say("Searching")
        chunks, entities = await asyncio.gather(
            self._backend.search_chunks(query, LIMIT),
            self._backend.search_entities(query, LIMIT),
            return_exceptions=True,
        )
        passages, named = self.query_one(PassagesPane), self.query_one(EntitiesPane)
        parts = []
        if isinstance(chunks, ChunkHits):
            passages.show(query, chunks.chunks)
            parts.append(count(len(chunks.chunks), "passage"))
            if chunks.chunks:
                passages.focus()
        else:
            passages.fail(plain(str(chunks), 400))
        if isinstance(entities, EntityHits):
            named.show(query, entities.entities)
            parts.append(count(len(entities.entities), "entity", "entities"))
        else:
            named.fail(plain(str(entities), 400))
        what = f'{", ".join(parts)} for "{plain(query, 60)}"'
        self._say(what if parts else "The search failed.")

    def _say(self, text: str) -> None:
        self.query_one("#status", Static).update(text)

    def action_type(self) -> None:
        """Back to the question."""
        self.query_one("#query").focus()

    def action_copy(self) -> None:
        """Copy the passage under the cursor, or the entities."""
        pane = self.focused if isinstance(self.focused, TextPane) else self.query_one(PassagesPane)
        text = pane.copy_text()
        if text:
            self.app.copy_to_clipboard(text)
            self.notify("Copied.", timeout=2, markup=False)

    def action_close(self) -> None:
        """Leave."""
        self.dismiss(None)
