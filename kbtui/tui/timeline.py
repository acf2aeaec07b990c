"""The stages of the document under the cursor: each with its duration, count and message."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.content import Content

from kbtui.ingest.jobs import ENDED, JobState
from kbtui.state.store import Store
from kbtui.state.views import DocumentView, StageSpan
from kbtui.tui.glyphs import Glyphs, Look
from kbtui.tui.lines import Line, TextPane
from kbtui.tui.roles import Roles
from kbtui.tui.text import duration, file_size, fit, took, wrap

ROOMY = 12
"""In a pane of fewer lines the path and the ended stages' messages would push stages out."""

_WAITING: dict[JobState, str] = {
    JobState.QUEUED: "Waits for its turn.",
    JobState.HELD: "On hold: it is not sent by itself.",
    JobState.SUBMITTING: "Sent; the server has not reported a stage yet.",
    JobState.RUNNING: "The server has not reported a stage yet.",
    JobState.INTERRUPTED: "The connection was lost; the outcome is asked for when it is back.",
    JobState.RECONCILING: "Asking the server what became of it.",
    JobState.UNKNOWN: "The server may or may not have it. Search for it before sending it again.",
}


def document_lines(
    view: DocumentView,
    width: int,
    base: Style,
    roles: Roles,
    glyphs: Glyphs,
    now: float,
    *,
    roomy: bool,
) -> list[Line]:
    """The whole pane's text: what the document is, its stages, what went wrong."""
    lines = _head(view, width, base, roles, glyphs, now)
    if roomy:
        lines.append([Segment(_path(view.path, width, glyphs), base + roles.muted)])
    trouble = view.error or view.reason
    if trouble:
        role = glyphs.job(view.state).role if view.error else "muted"
        lines += [[Segment(text, base + roles.of(role))] for text in wrap(trouble, width)]
    if view.spans:
        for span in view.spans:
            look = _span_look(span, view, glyphs)
            lines += _span(span, look, width, base, roles, glyphs, now, roomy=roomy)
    elif view.state in _WAITING and not trouble:
        texts = wrap(_WAITING[view.state], width)
        lines += [[Segment(text, base + roles.muted)] for text in texts]
    if view.inferred and view.state not in ENDED:
        note = "The server does not say whose progress this is; it is taken to be this document's."
        lines += [[Segment(text, base + roles.muted)] for text in wrap(note, width)]
    return lines


def _head(
    view: DocumentView, width: int, base: Style, roles: Roles, glyphs: Glyphs, now: float
) -> list[Line]:
    look = glyphs.job(view.state)
    state = f"{look.glyph} {look.word}"
    clock = took if view.finished_at is not None else duration
    facts = [clock(view.elapsed(now)), file_size(view.size), view.domain or ""]
    if view.attempt > 1:
        facts.append(f"attempt {view.attempt}")
    detail = "".join(f" {glyphs.dot} {fact}" for fact in facts if fact)
    room = max(0, width - len(state))
    return [
        [
            Segment(state, base + roles.of(look.role)),
            Segment(fit(detail, min(room, cell_len(detail)), ellipsis=glyphs.ellipsis),
                    base + roles.muted),
        ],
    ]  # fmt: skip


def _path(path: str, width: int, glyphs: Glyphs) -> str:
    """The end of a path says more than its beginning."""
    if cell_len(path) <= width:
        return path
    tail = path[-width:]
    while tail and cell_len(tail) > width - 1:
        tail = tail[1:]
    return glyphs.ellipsis + tail


def _span_look(span: StageSpan, view: DocumentView, glyphs: Glyphs) -> Look:
    if span.failed:
        return glyphs.job(JobState.FAILED)
    return glyphs.job(JobState.COMPLETED if span.ended is not None else view.state)


def _span(
    span: StageSpan,
    look: Look,
    width: int,
    base: Style,
    roles: Roles,
    glyphs: Glyphs,
    now: float,
    *,
    roomy: bool,
) -> list[Line]:
    clock = duration(now - span.started) if span.ended is None else took(span.ended - span.started)
    title = f"{span.stage:g}".ljust(4) + span.title
    amount = ""
    if span.current is not None:
        amount = f" {span.current}/{span.total}" if span.total else f" {span.current}"
    room = max(0, width - 2 - 8 - len(amount))
    named = fit(title, min(room, cell_len(title)), ellipsis=glyphs.ellipsis)
    running = span.ended is None
    left = max(0, width - 2 - cell_len(named) - len(amount) - 8)
    message = "" if span.message == span.title else span.message
    # What an ended stage came to stands on its own line only where it does not fit beside it.
    beside = not running and not span.failed and (cell_len(message) + 2 <= left or not roomy)
    filler = fit(f"  {message}" if beside and left > 6 else "", left, ellipsis=glyphs.ellipsis)
    lines: list[Line] = [
        [
            Segment(f"{look.glyph} ", base + roles.of(look.role)),
            Segment(named, base + (roles.title if running else roles.text)),
            Segment(amount, base + roles.accent),
            Segment(filler, base + roles.muted),
            Segment(fit(clock, 8, right=True), base + (roles.text if running else roles.muted)),
        ]
    ]
    if message and not beside:
        role = roles.error if span.failed else roles.muted
        indent = " " * 6
        texts = wrap(message, max(8, width - len(indent)))[:4]
        lines += [[Segment(indent + text, base + role)] for text in texts]
    return lines


class Timeline(TextPane):
    """The pane of one document. It follows the stage that runs unless a person has scrolled."""

    def __init__(self, store: Store, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._store = store
        self._job_id: str | None = None

    @property
    def view(self) -> DocumentView | None:
        """The document that is shown."""
        return self._store.documents.get(self._job_id) if self._job_id is not None else None

    def show(self, job_id: str | None) -> None:
        """Show another document."""
        self._job_id = job_id
        self.held = False
        self.rebuild()

    def rebuild(self) -> None:
        """Draw everything again: the document, or the time, has changed."""
        super().rebuild()
        view = self.view
        title = view.name if view else "Stages"
        room = max(4, self.line_width - 4)
        fitted = fit(title, min(cell_len(title), room), ellipsis=self.glyphs.ellipsis)
        self.border_title = Content(fitted)
        if not self.held:
            running = view is not None and view.state not in ENDED
            self.scroll_now(max(0, len(self._lines) - self.size.height) if running else 0)

    def build(self) -> list[Line]:
        """The lines of the document, or why there is none."""
        view, width = self.view, self.line_width
        if view is None:
            text = "No document is selected. Choose one in the table: its stages are shown here."
            return [[Segment(line, self.base + self.roles.muted)] for line in wrap(text, width)]
        return document_lines(
            view,
            width,
            self.base,
            self.roles,
            self.glyphs,
            self.kb.now(),
            roomy=self.size.height >= ROOMY,
        )
