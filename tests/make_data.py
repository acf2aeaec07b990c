"""Makes the documents that tests ingest: the .pdf and .docx of tests/data, and odd ones on demand.

Run `python -m tests.make_data` to make tests/data/tidal.pdf and tests/data/beekeeping.docx again;
the bytes are the same every time.
"""

from __future__ import annotations

import hashlib
import html
import io
import random
import textwrap
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import docx
import docx.document

from tests import prose

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = Path(__file__).parent / "data"

Section = tuple[str, list[str]]
"""A heading and the paragraphs under it."""


def _sections(prose: str) -> list[Section]:
    sections: list[Section] = []
    for block in prose.strip().split("\n\n"):
        text = " ".join(block.split())
        if text.startswith("## "):
            sections.append((text[3:], []))
        else:
            sections[-1][1].append(text)
    return sections


TIDAL = [_sections(page) for page in prose.TIDAL.split("\n---\n")]
BEES = _sections(prose.BEES)
SEASONS = [
    ("Month", "Work in the apiary"),
    ("April", "first inspection, clean floors"),
    ("June", "add supers, look for queen cells"),
    ("August", "take honey, treat with thymol"),
    ("December", "oxalic acid, leave in peace"),
]

_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
_PAD = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def _text(value: str) -> bytes:
    """A PDF string literal."""
    raw = value.encode("cp1252")
    return b"(" + raw.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)") + b")"


def write_pdf(
    path: Path, pages: list[list[Section]], *, title: str = "", password: str | None = None
) -> None:
    """A PDF with a text layer and a table of contents; with a password, encrypted by the standard
    security handler (revision 2, RC4 of 40 bits) and without strings that would need it too."""
    file_id = hashlib.md5(repr((pages, title)).encode()).digest()
    key, encryption = _encryption(password, file_id)
    objects = {2: b"", 3: _FONT}
    marks: list[tuple[str, int]] = []
    kids = []
    for index, sections in enumerate(pages):
        number = 4 + 2 * index
        kids.append(b"%d 0 R" % number)
        marks += [(heading, number) for heading, _ in sections if heading]
        stream = _page_stream(sections)
        if key:
            mix = key + (number + 1).to_bytes(3, "little") + b"\0\0"
            stream = _rc4(hashlib.md5(mix).digest()[: len(key) + 5], stream)
        objects[number] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (number + 1)
        )
        objects[number + 1] = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)
    objects[2] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(kids))
    catalog = b"<< /Type /Catalog /Pages 2 0 R"
    trailer = b"/Root 1 0 R /ID [<%s> <%s>]" % ((file_id.hex().encode(),) * 2)
    last = max(objects)
    if key:
        objects[last + 1] = encryption
        trailer += b" /Encrypt %d 0 R" % (last + 1)
    elif marks:
        objects[last + 1] = b"<< /Title %s >>" % _text(title)
        trailer += b" /Info %d 0 R" % (last + 1)
        catalog += b" /Outlines %d 0 R" % (last + 2)
        objects |= _outlines(marks, last + 2)
    objects[1] = catalog + b" >>"
    path.write_bytes(_assemble(objects, trailer))


def _encryption(password: str | None, file_id: bytes) -> tuple[bytes, bytes]:
    """The key and the encryption dictionary; both empty without a password."""
    if password is None:
        return b"", b""
    padded = (password.encode() + _PAD)[:32]
    owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
    rights = (-4 & 0xFFFFFFFF).to_bytes(4, "little")
    key = hashlib.md5(padded + owner + rights + file_id).digest()[:5]
    user = _rc4(key, _PAD)
    return key, b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >>" % (
        owner.hex().encode(),
        user.hex().encode(),
    )


def _page_stream(sections: list[Section]) -> bytes:
    lines = [b"BT /F1 11 Tf 14 TL 60 780 Td"]
    for heading, paragraphs in sections:
        if heading:
            lines.append(b"/F1 16 Tf %s Tj T* T* /F1 11 Tf" % _text(heading))
        for paragraph in paragraphs:
            lines += [b"%s Tj T*" % _text(line) for line in textwrap.wrap(paragraph, 88)]
            lines.append(b"T*")
    return b"\n".join([*lines, b"ET"])


def _outlines(marks: list[tuple[str, int]], root: int) -> dict[int, bytes]:
    """The objects of a flat table of contents, from object number `root` on."""
    count = len(marks)
    made = {
        root: b"<< /Type /Outlines /First %d 0 R /Last %d 0 R /Count %d >>"
        % (root + 1, root + count, count)
    }
    for offset, (heading, page) in enumerate(marks, 1):
        entry = b"<< /Title %s /Parent %d 0 R /Dest [%d 0 R /Fit]" % (_text(heading), root, page)
        if offset > 1:
            entry += b" /Prev %d 0 R" % (root + offset - 1)
        if offset < count:
            entry += b" /Next %d 0 R" % (root + offset + 1)
        made[root + offset] = entry + b" >>"
    return made


def _assemble(objects: dict[int, bytes], trailer: bytes) -> bytes:
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = {}
    for number in sorted(objects):
        offsets[number] = out.tell()
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, objects[number]))
    start = out.tell()
    size = max(objects) + 1
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % size)
    for number in range(1, size):
        out.write(b"%010d 00000 n \n" % offsets[number])
    out.write(b"trailer\n<< /Size %d %s >>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, start))
    return out.getvalue()


def encrypted_pdf(path: Path) -> None:
    """A PDF that needs the password "secret" to be opened."""
    write_pdf(path, TIDAL[:1], password="secret")


def corrupt_pdf(path: Path) -> None:
    """A file that begins like a PDF and is noise after that."""
    path.write_bytes(b"%PDF-1.7\n" + random.Random(7).randbytes(4000))


def scanned_pdf(path: Path) -> None:
    """A PDF whose only page has no text, as from a scanner."""
    write_pdf(path, [[("", [])]])


def write_docx(
    path: Path, title: str, sections: list[Section], table: Sequence[tuple[str, ...]] = ()
) -> None:
    """A Word document with a title, headings, paragraphs and perhaps a table at the end."""
    document: docx.document.Document = docx.Document()
    document.core_properties.title = title
    document.add_heading(title, 0)
    for heading, paragraphs in sections:
        document.add_heading(heading, 1)
        for paragraph in paragraphs:
            document.add_paragraph(paragraph)
    if table:
        grid = document.add_table(rows=0, cols=len(table[0]))
        for row in table:
            for cell, value in zip(grid.add_row().cells, row, strict=True):
                cell.text = value
    buffer = io.BytesIO()
    document.save(buffer)
    # Written once more with fixed times, so that the same document is the same bytes.
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            fixed = zipfile.ZipInfo(entry.filename, (2026, 1, 1, 0, 0, 0))
            fixed.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(fixed, source.read(entry))


_PLACES = "Ardmore Brighton Calder Dunwich Elgin Fairlight Galway Harwich Islay Jura Kelso Lynmouth"
_PEOPLE = "Alice Martin,Henry Walker,Maria Rossi,Thomas Reed,Helen Craig,Peter Lund,Grace Hall"
_THINGS = (
    "tide gauge,barograph,wind vane,rain gauge,river sluice,grain mill,signal lamp,oyster bed,"
    "salt pan,rope walk,weather balloon,fog horn"
)
_FINDINGS = (
    "needed a new bearing,was cleaned and oiled,drifted by two per cent,froze before dawn,"
    "agreed with the neighbouring station,was struck by lightning,worked without interruption,"
    "was repainted in white,had to be calibrated again,lost its shutter in the gale"
)


def _report(chance: random.Random, number: int) -> tuple[str, list[Section]]:
    """A made-up but readable station report; its serial number occurs in no other."""
    place = chance.choice(_PLACES.split())
    sections: list[Section] = []
    for heading in chance.sample(["Summary", "Instruments", "Weather", "Repairs", "Visitors"], 3):
        paragraphs = []
        for _ in range(chance.randint(1, 3)):
            sentences = [
                f"On {chance.randint(1, 28)} {chance.choice(['March', 'June', 'October'])}"
                f" {chance.randint(1890, 1990)} the {chance.choice(_THINGS.split(','))} at"
                f" {chance.choice(_PLACES.split())} {chance.choice(_FINDINGS.split(','))}, and"
                f" {chance.choice(_PEOPLE.split(','))} wrote down {chance.randint(2, 9000)}."
                for _ in range(chance.randint(2, 5))
            ]
            paragraphs.append(" ".join(sentences))
        sections.append((heading, paragraphs))
    sections[0][1].append(f"The serial number of this report is {place[:3].upper()}-{number:05d}.")
    return f"{place} Station report {number}", sections


def mixed_folder(directory: Path, count: int, seed: int = 1) -> list[Path]:
    """Makes `count` small documents, of the five types in turn, no two alike; the same for the
    same seed."""
    directory.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        title, sections = _report(random.Random(f"{seed}/{number}"), number)
        suffix = (".md", ".txt", ".html", ".pdf", ".docx")[number % 5]
        path = directory / f"report-{number:04d}{suffix}"
        if suffix == ".pdf":
            half = len(sections) // 2
            write_pdf(path, [sections[:half], sections[half:]], title=title)
        elif suffix == ".docx":
            write_docx(path, title, sections)
        else:
            path.write_text(_as_text(suffix, title, sections), encoding="utf-8")
        made.append(path)
    return made


def _as_text(suffix: str, title: str, sections: list[Section]) -> str:
    if suffix == ".html":
        body = "".join(
            f"<h2>{html.escape(heading)}</h2>"
            + "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in paragraphs)
            for heading, paragraphs in sections
        )
        return (
            f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"
            f"<nav>Menu</nav><main><h1>{html.escape(title)}</h1>{body}</main>"
        )
    marks = ("# ", "## ") if suffix == ".md" else ("", "")
    blocks = [marks[0] + title]
    for heading, paragraphs in sections:
        blocks += [marks[1] + heading, *paragraphs]
    return "\n\n".join(blocks) + "\n"


if __name__ == "__main__":
    write_pdf(DATA / "tidal.pdf", TIDAL, title="Tidal energy")
    write_docx(DATA / "beekeeping.docx", "Keeping bees", BEES, SEASONS)
