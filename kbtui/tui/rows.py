"""One document as one line of the table."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from kbtui.ingest.jobs import ENDED, JobState
from kbtui.protocol.stages import LAST_STAGE
from kbtui.state.views import DocumentView
from kbtui.tui.columns import Columns
from kbtui.tui.glyphs import Glyphs
from kbtui.tui.roles import Roles
from kbtui.tui.text import bar, duration, file_size, fit, took


def header_row(columns: Columns, base: Style, roles: Roles) -> list[Segment]:
    """The names of the columns."""
    style = base + roles.muted
    progress = columns.bar + columns.percent + (columns.gap if columns.bar else 0)
    progress_title = "Progress" if columns.bar else "Done"
    cells = [
        fit("Document", columns.name),
        fit("State", columns.state) if columns.state > 1 else " ",
        fit("Stage", columns.stage) if columns.stage else "",
        fit(progress_title, progress, right=not columns.bar) if columns.percent else "",
        fit("Time", columns.elapsed, right=True) if columns.elapsed else "",
        fit("Size", columns.size, right=True) if columns.size else "",
        fit("Message", columns.message) if columns.message else "",
    ]
    return [Segment((" " * columns.gap).join(cell for cell in cells if cell), style)]


def stage_text(view: DocumentView, width: int, ellipsis: str) -> str:
    """The stage with its number and its count, "5/9 embed chunks 12/40", in `width` cells.

    Where it is too long the title is cut, never the count: that is what moves.
    """
    if view.stage is None:
        waiting = "waiting for the server" if view.state is JobState.SUBMITTING else ""
        return fit(waiting, width, ellipsis=ellipsis)
    title = f"{'~' if view.inferred else ''}{view.stage:g}/{LAST_STAGE} {view.stage_title}"
    amount = ""
    span = next((item for item in reversed(view.spans) if item.stage == view.stage), None)
    if span is not None and span.current is not None:
        amount = f" {span.current}/{span.total}" if span.total else f" {span.current}"
    room = max(4, width - len(amount))
    return fit(fit(title, min(room, cell_len(title)), ellipsis=ellipsis) + amount, width)


def document_row(
    view: DocumentView,
    columns: Columns,
    base: Style,
    roles: Roles,
    glyphs: Glyphs,
    now: float,
) -> list[Segment]:
    """The cells of one document; `now` is epoch seconds."""
    look = glyphs.job(view.state)
    state_style = base + roles.of(look.role)
    ended = view.state in ENDED
    waiting = view.state in (JobState.QUEUED, JobState.HELD)
    name_style = base + (roles.muted if waiting or view.state is JobState.SKIPPED else roles.text)
    gap = Segment(" " * columns.gap, base)
    more = glyphs.ellipsis
    state = f"{look.glyph} {look.word}" if columns.state > 1 else look.glyph
    row = [
        Segment(fit(view.name, columns.name, ellipsis=more), name_style),
        gap,
        Segment(fit(state, columns.state, ellipsis=more), state_style),
    ]
    why = view.error or view.reason
    if ended and view.state is not JobState.COMPLETED:
        style = base + (roles.of(look.role) if view.error else roles.muted)
        if columns.percent:
            row += [gap, Segment(fit(why or "", columns.detail, ellipsis=more), style)]
    elif waiting:
        if columns.percent:
            row += [gap, Segment(fit(why or "", columns.detail, ellipsis=more), base + roles.muted)]
    else:
        row += _progress(view, columns, base, roles, glyphs)
    if columns.elapsed:
        elapsed = (took if ended else duration)(view.elapsed(now))
        clock = fit(elapsed, columns.elapsed, right=True, ellipsis=more)
        row += [gap, Segment(clock, base + (roles.muted if ended else roles.text))]
    if columns.size:
        size = fit(file_size(view.size), columns.size, right=True, ellipsis=more)
        row += [gap, Segment(size, base + roles.muted)]
    if columns.message:
        message = "" if ended or waiting else (why or view.message)
        row += [gap, Segment(fit(message, columns.message, ellipsis=more), base + roles.muted)]
    return row


def _progress(
    view: DocumentView, columns: Columns, base: Style, roles: Roles, glyphs: Glyphs
) -> list[Segment]:
    gap = Segment(" " * columns.gap, base)
    completed = view.state is JobState.COMPLETED
    role = roles.of(glyphs.job(view.state).role)
    row: list[Segment] = []
    if columns.stage:
        interrupted = view.state in (JobState.INTERRUPTED, JobState.RECONCILING)
        if completed or (interrupted and view.reason):
            why = "" if completed else view.reason or ""
            stage = fit(why, columns.stage, ellipsis=glyphs.ellipsis)
        else:
            stage = stage_text(view, columns.stage, glyphs.ellipsis)
        row += [gap, Segment(stage, base + (roles.muted if interrupted else roles.text))]
    if columns.bar:
        done, missing = bar(view.fraction, columns.bar, *glyphs.bar)
        row += [gap, Segment(done, base + role), Segment(missing, base + roles.faint)]
    if columns.percent:
        percent = fit(f"{view.fraction:.0%}", columns.percent, right=True)
        row += [gap, Segment(percent, base + (roles.muted if completed else roles.text))]
    return row
