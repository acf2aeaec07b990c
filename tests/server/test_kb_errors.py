"""What cannot be ingested is refused in one clear line, and the next document goes through."""

from __future__ import annotations

import errno
import zipfile
from typing import TYPE_CHECKING

import pytest

from kbtui.server.knowledge_base import IngestError
from kbtui.server.parsing.reader import os_message, shown
from kbtui.server.parsing.text import decode
from tests import make_data
from tests.server.kb_tools import DATA, opened, quiet, source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kbtui.server.knowledge_base import StageReport


def _broken_docx(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<not-closed")


def _text(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


BAD: list[tuple[str, Callable[[Path], object], str]] = [
    ("locked.pdf", make_data.encrypted_pdf, "password-protected"),
    ("noise.pdf", make_data.corrupt_pdf, "not a PDF or it is damaged"),
    ("scan.pdf", make_data.scanned_pdf, "scanned pages need OCR first"),
    ("empty.md", _text(b""), "the file is empty"),
    ("empty.pdf", _text(b""), "the file is empty"),
    ("blank.txt", _text(b" \n\n\t \n"), "no text found"),
    ("script.html", _text(b"<script>var x = 1</script><nav>Home</nav>"), "no text found"),
    ("plain.docx", _text(b"I am no zip"), "not a Word document"),
    ("old.docx", _text(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest"), "password-protected or an old"),
    ("broken.docx", _broken_docx, "damaged"),
    ("binary.txt", _text(bytes(range(256)) * 8), "binary, not text"),
    ("picture.png", _text(b"\x89PNG"), "not supported"),
    ("Makefile", _text(b"all:"), "not supported"),
]


@pytest.mark.parametrize(("name", "make", "expected"), BAD, ids=[bad[0] for bad in BAD])
async def test_a_bad_file_is_refused_in_one_line(
    tmp_path: Path, name: str, make: Callable[[Path], object], expected: str
) -> None:
    path = tmp_path / name
    make(path)
    async with opened(tmp_path / "kb") as base:
        with pytest.raises(IngestError) as caught:
            await base.ingest(source(path), quiet)
        assert expected in caught.value.message
        assert name in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.stage in (0, 1)
        assert (await base.counts()).documents == 0


async def test_a_bad_file_does_not_cost_the_parser(tmp_path: Path) -> None:
    make_data.corrupt_pdf(tmp_path / "noise.pdf")
    async with opened(tmp_path / "kb") as base:
        await base.ingest(source(DATA / "tea.md"), quiet)
        parser = base._pipeline.parser
        pid = parser.pid
        with pytest.raises(IngestError):
            await base.ingest(source(tmp_path / "noise.pdf"), quiet)
        await base.ingest(source(DATA / "tidal.pdf"), quiet)
        assert parser.pid == pid


async def test_a_vanished_file(tmp_path: Path) -> None:
    path = tmp_path / "gone.md"
    path.write_text("# Here now")
    made = source(path)
    path.unlink()
    async with opened(tmp_path / "kb") as base:
        with pytest.raises(IngestError, match=r"the file is gone: .*gone\.md") as caught:
            await base.ingest(made, quiet)
        assert caught.value.stage == 0


@pytest.mark.parametrize("vanish", [True, False], ids=["vanished", "changed"])
async def test_a_file_that_goes_or_changes_after_the_first_look(
    tmp_path: Path, vanish: bool
) -> None:
    path = tmp_path / "draft.md"
    path.write_text("# First words")
    made = source(path)

    def meddle(said: StageReport) -> None:
        if (said.stage, said.status) == (0, "completed"):
            if vanish:
                path.unlink()
            else:
                path.write_text("# Other words")

    async with opened(tmp_path / "kb") as base:
        expected = "the file is gone" if vanish else "changed while it was waiting"
        with pytest.raises(IngestError, match=expected) as caught:
            await base.ingest(made, meddle)
        assert caught.value.stage == 1
        assert (await base.counts()).documents == 0


async def test_a_directory_is_no_document(tmp_path: Path) -> None:
    (tmp_path / "folder.md").mkdir()
    made = source(DATA / "tea.md")
    async with opened(tmp_path / "kb") as base:
        with pytest.raises(IngestError, match="not a regular file"):
            await base.ingest(
                type(made)(tmp_path / "folder.md", "id", "n", None, made.sha256, 1, None), quiet
            )


def test_errors_of_the_system_are_told_apart(tmp_path: Path) -> None:
    # The tests may run as root, whom no permission stops, so the sentence is tested by itself.
    path = tmp_path / "a\nb\x1b[31m.md"
    denied = os_message(path, PermissionError(errno.EACCES, "Permission denied"))
    assert denied.startswith("no permission to read the file: ")
    assert denied.endswith(r"a\nb\x1b[31m.md")
    assert "gone" in os_message(path, FileNotFoundError(errno.ENOENT, "No such file"))
    assert "(Input/output error)" in os_message(path, OSError(errno.EIO, "Input/output error"))
    assert shown("plain \u00e9.md") == "plain \u00e9.md"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("caf\u00e9".encode(), "caf\u00e9"),
        (b"\xef\xbb\xbfcaf\xc3\xa9", "caf\u00e9"),
        ("caf\u00e9".encode("utf-16"), "caf\u00e9"),
        (b"\xfe\xff" + "caf\u00e9".encode("utf-16-be"), "caf\u00e9"),
        (b"caf\xe9 \x93quoted\x94", "caf\u00e9 \u201cquoted\u201d"),
        (b"caf\xe9 \x81", "caf\u00e9 \x81"),
        (b"one\r\ntwo\rthree\x07", "one\ntwo\nthree"),
    ],
    ids=["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252", "latin-1", "line ends"],
)
def test_text_of_any_encoding_is_read(data: bytes, expected: str) -> None:
    assert decode(data) == expected


async def test_an_html_page_is_read_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes('<meta charset="koi8-r"><p>\u0447\u0430\u0439 tea</p>'.encode("koi8-r"))
    async with opened(tmp_path / "kb") as base:
        await base.ingest(source(path), quiet)
        (hit,) = await base.search_chunks("\u0447\u0430\u0439", 1)
        assert "\u0447\u0430\u0439" in hit.text
