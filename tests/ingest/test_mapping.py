"""Local paths as the server calls them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbtui.connection import Mode
from kbtui.ingest.jobs import JobState
from kbtui.ingest.mapping import InvalidMapping, PathMap, path_map
from tests.ingest.running import running
from tests.kbv2.replay import ReplayServer
from tests.serving import serving

PARTS = st.lists(st.sampled_from(["a", "b", "ab", "a=b", "c d"]), max_size=4)
FOLDERS = PARTS.map(lambda parts: "/" + "/".join(parts))


@given(st.dictionaries(FOLDERS, FOLDERS, max_size=5), FOLDERS)
def test_the_longest_local_folder_decides(folders: dict[str, str], path: str) -> None:
    folders = {local: remote for local, remote in folders.items() if "=" not in local}
    mapped = path_map(f"{local}={remote}" for local, remote in folders.items()).remote(path)
    above = [path, *map(str, PurePosixPath(path).parents)]
    nearest = next((folder for folder in above if folder in folders), None)
    if nearest is None:
        assert mapped == path
    else:
        rest = PurePosixPath(path).relative_to(nearest)
        assert PurePosixPath(mapped) == PurePosixPath(folders[nearest]) / rest
    assert mapped.startswith("/")


def test_local_folders_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    mapping = path_map(["docs/=/srv/x/", "~/papers=C:\\papers", "here=//host/share"])
    assert mapping.remote(f"{tmp_path}/docs/a.md") == "/srv/x/a.md"
    assert mapping.remote(f"{tmp_path}/docs2/a.md") == f"{tmp_path}/docs2/a.md"
    assert mapping.remote("/home/ann/papers/b/c.pdf") == "C:\\papers/b/c.pdf"
    assert path_map(["/=/mnt/all"]).remote("/etc/motd.txt") == "/mnt/all/etc/motd.txt"
    assert path_map(["/mnt/all=/"]).remote("/mnt/all/etc/motd.txt") == "/etc/motd.txt"
    assert PathMap().remote("/x") == "/x"


@pytest.mark.parametrize(
    ("texts", "word"),
    [
        (["/a"], "LOCAL=REMOTE"),
        (["=/b"], "LOCAL=REMOTE"),
        (["/a="], "LOCAL=REMOTE"),
        (["/a=b/c"], "absolute"),
        (["/a=/b", "/a/=/c"], "two folders"),
    ],
)
def test_what_is_no_mapping(texts: list[str], word: str) -> None:
    with pytest.raises(InvalidMapping, match=word):
        path_map(texts)


async def test_servers_get_the_mapped_path_and_the_journal_keeps_ours(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "note.md").write_text("# Note\n\nSeen on both sides.\n")
    mapping = path_map([f"{here}={there}"])
    async with (
        ReplayServer("2026-02-05") as kbv2,
        serving(tmp_path / "kb", there) as native,
    ):
        for url, mode in ((kbv2.url, Mode.KBV2), (native, Mode.NATIVE)):
            async with running(tmp_path / mode, url, path_map=mapping) as run:
                (job,) = await run.queue.add([here / "note.md"])
                await run.finish()
                assert run.service.mode is mode
                assert run.last(job).state is JobState.COMPLETED
                assert run.last(job).path == str(here / "note.md")
        assert list(kbv2.ingestions) == [str(there / "note.md")]
