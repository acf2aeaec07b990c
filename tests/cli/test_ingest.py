"""`kbtui ingest` and `kbtui search` as a script uses them: real processes, the embedded server."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.make_data import corrupt_pdf, encrypted_pdf, mixed_folder
from tests.processes import (
    KBTUI,
    alive,
    environment,
    events,
    last_states,
    run_kbtui,
    server_pid,
    start_kbtui,
    wait_until,
)

JOB_KEYS = {
    "event", "job_id", "path", "name", "state", "stage", "fraction", "document_id", "error",
    "reason", "duration",
}  # fmt: skip

# One sentence of each document in tests/data, and words to find it by that are not all in it.
SENTENCES = {
    "tea.md": ("how long are leaves dried before rolling", "Withering"),
    "lighthouse.html": ("lens that gathers the light of the lamp", "Fresnel"),
    "sourdough.txt": ("feeding the starter with flour", "starter"),
    "tidal.pdf": ("electricity from a barrage across an estuary", "barrage"),
    "beekeeping.docx": ("parasite of the honey bee", "Varroa"),
}


def documents_in(home: Path) -> int:
    with sqlite3.connect(home / "data" / "knowledge.db") as connection:
        (count,) = connection.execute("SELECT count(*) FROM documents").fetchone()
    connection.close()
    return int(count)


def test_the_shipped_documents_are_ingested_and_found(home: Path, documents: Path) -> None:
    done = run_kbtui("ingest", documents, home=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("5 completed")
    for name, (query, word) in SENTENCES.items():
        found = run_kbtui("search", query, "--json", "--limit", "3", home=home)
        assert found.returncode == 0, found.stderr
        hits = events(found.stdout)
        assert set(hits[0]) == {
            "document_name", "document_id", "text", "similarity", "page", "heading",
        }  # fmt: skip
        assert hits[0]["document_name"] == name
        assert word in hits[0]["text"]
    entities = run_kbtui("search", "Langstroth", "--entities", "--json", home=home)
    assert any("Langstroth" in hit["name"] for hit in events(entities.stdout))
    plain = run_kbtui("search", "varroa", home=home)
    assert "beekeeping.docx" in plain.stdout


def test_two_hundred_mixed_files(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    mixed_folder(folder, 200)
    first = run_kbtui("ingest", folder, "--json", home=home, timeout=240)
    assert first.returncode == 0, first.stderr
    summary = events(first.stdout)[-1]
    assert summary["event"] == "summary"
    assert (summary["completed"], summary["failed"], summary["unknown"]) == (200, 0, 0)
    for job in last_states(first.stdout).values():
        assert set(job) == JOB_KEYS
        assert job["state"] == "completed"
        assert job["document_id"]
        assert job["fraction"] == 1
    assert documents_in(home) == 200

    again = run_kbtui("ingest", folder, "--json", home=home, timeout=240)
    assert again.returncode == 0
    summary = events(again.stdout)[-1]
    assert (summary["completed"], summary["skipped"]) == (0, 200)
    assert all("duplicate of" in job["reason"] for job in last_states(again.stdout).values())
    assert documents_in(home) == 200

    # Misfits among them fail, each with one clear line; the rest goes on.
    (folder / "empty.txt").touch()
    encrypted_pdf(folder / "encrypted.pdf")
    corrupt_pdf(folder / "corrupt.pdf")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / "new.md").write_text("# New\n\nA document that was not there before.\n")
    vanishing = folder / "vanishing.md"
    vanishing.write_text("# Gone\n\nThis file does not stay.\n")
    mixed = start_kbtui("ingest", folder, "--json", home=home)
    assert mixed.stdout is not None
    lines = []
    for line in mixed.stdout:
        lines.append(line)
        # The queue takes files in order of name: it is not this one's turn yet.
        if vanishing.exists() and '"queued"' in line:
            vanishing.unlink()
    assert mixed.wait() == 1
    output = "".join(lines)
    states = last_states(output)
    wrong = {
        "empty.txt": "empty",
        "encrypted.pdf": "password",
        "corrupt.pdf": "damaged",
        "vanishing.md": "vanished",
    }
    for name, word in wrong.items():
        job = states[str(folder / name)]
        assert job["state"] == "failed"
        assert word in job["error"]
        assert "\n" not in job["error"]
    assert states[str(folder / "picture.png")]["state"] == "skipped"
    assert "unsupported type" in states[str(folder / "picture.png")]["reason"]
    assert states[str(folder / "new.md")]["state"] == "completed"
    summary = events(output)[-1]
    assert (summary["completed"], summary["failed"], summary["skipped"]) == (1, 4, 201)
    mixed.stdout.close()
    assert mixed.stderr is not None
    mixed.stderr.close()


def test_an_unsupported_type_fails_when_it_is_named(home: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG")
    done = run_kbtui("ingest", picture, tmp_path / "missing.md", "--json", home=home)
    assert done.returncode == 1
    states = last_states(done.stdout)
    assert "unsupported type (.png)" in states[str(picture)]["error"]
    assert states[str(tmp_path / "missing.md")]["error"] == "no such file"
    assert server_pid(home) is None, "no server is started for nothing"


def test_relative_paths_are_resolved(home: Path, documents: Path) -> None:
    done = run_kbtui("ingest", "tea.md", "--name", "Tea", "--json", home=home, cwd=documents)
    assert done.returncode == 0, done.stderr
    (path,) = last_states(done.stdout)
    assert path == str(documents / "tea.md")
    assert last_states(done.stdout)[path]["name"] == "Tea"


def test_force_stores_it_again(home: Path, documents: Path) -> None:
    for _ in range(2):
        done = run_kbtui("ingest", documents / "tea.md", "--on-duplicate", "force", home=home)
        assert done.returncode == 0
    assert documents_in(home) == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--server", "http://x/ws"], "ws://HOST:PORT/ws"),
        (["--server", "ws://h:port/ws"], "port"),
        (["--server", "ws://h/ws", "--host", "h"], "not both"),
        (["--server", "ws://h/ws", "--token-env", "KBTUI_NO_SUCH"], "KBTUI_NO_SUCH"),
        (["--name", "N", "other.md"], "one file"),
        (["--concurrency", "0"], "--concurrency"),
        (["--timeout", "nan"], "--timeout"),
        (["--log-file", "/nowhere/at/all.log"], "log file"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_2(
    arguments: list[str], word: str, home: Path, documents: Path
) -> None:
    done = run_kbtui("ingest", documents / "tea.md", *arguments, home=home)
    assert done.returncode == 2
    assert word in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_no_server_is_exit_3(home: Path, documents: Path) -> None:
    path = documents / "tea.md"
    refused = run_kbtui("ingest", path, "--server", "http://", home=home)
    assert refused.returncode == 2
    url = "ws://no-such-host.invalid/ws"
    missing = run_kbtui("ingest", path, "--server", url, "--json", home=home)
    assert missing.returncode == 3
    assert "no-such-host.invalid" in missing.stderr
    assert events(missing.stdout)[-1]["event"] == "summary"


def test_nothing_is_imported_from_the_current_folder(
    home: Path, tmp_path: Path, documents: Path
) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("numpy", "kbtui", "docx", "msgspec"):
        (trap / f"{name}.py").write_text("raise SystemExit('imported from the current folder')")
    kbtui = Path(sys.executable).with_name("kbtui")
    done = subprocess.run(
        [kbtui, "ingest", documents], env=environment(home), cwd=trap, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_signal_ends_it_and_the_same_command_continues(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    mixed_folder(folder, 40)
    running = start_kbtui("ingest", folder, "--json", home=home)
    assert running.stdout is not None
    for line in running.stdout:
        if '"completed"' in line:
            break
    running.send_signal(signal.SIGTERM)
    rest, _ = running.communicate(timeout=20)
    assert running.returncode == 128 + signal.SIGTERM
    assert events(rest)[-1]["event"] == "summary"
    again = run_kbtui("ingest", folder, "--json", home=home, timeout=120)
    assert again.returncode == 0, again.stderr
    summary = events(again.stdout)[-1]
    assert summary["completed"] + summary["skipped"] == 40
    assert documents_in(home) == 40


def test_kill_9_of_the_client_loses_nothing(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    mixed_folder(folder, 40)
    for _ in range(3):
        running = start_kbtui("ingest", folder, "--json", home=home)
        assert running.stdout is not None
        for line in running.stdout:
            if '"completed"' in line:
                break
        running.kill()
        running.communicate()
    again = run_kbtui("ingest", folder, "--json", home=home, timeout=120)
    assert again.returncode == 0, again.stderr
    assert documents_in(home) == 40


def test_kill_9_of_the_server_loses_nothing(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    mixed_folder(folder, 60)
    running = start_kbtui("ingest", folder, "--json", home=home)
    assert running.stdout is not None
    lines, killed = [], 0
    for line in running.stdout:
        lines.append(line)
        if '"completed"' in line and killed < 2 and len(lines) > 100 * (killed + 1):
            pid = server_pid(home)
            if pid is not None and alive(pid):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    assert killed
    assert running.wait(timeout=60) == 0
    running.communicate()
    assert events("".join(lines))[-1]["completed"] == 60
    assert documents_in(home) == 60


def test_the_server_is_shared_and_ends_by_itself(home: Path, documents: Path) -> None:
    both = [
        start_kbtui("ingest", documents / name, "--json", home=home)
        for name in ("tea.md", "tidal.pdf")
    ]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    servers = {
        event["server"]
        for output in outputs
        for event in events(output)
        if event["event"] == "connection" and event["state"] == "connected"
    }
    assert len(servers) == 1
    pid = server_pid(home)
    assert pid is not None
    wait_until(lambda: not alive(pid), "the idle server's end")
    assert not (home / "data" / "server.json").exists()


def test_output_that_nobody_reads_is_no_error(home: Path, documents: Path) -> None:
    running = start_kbtui("search", "anything", home=home)
    assert running.stdout is not None
    running.stdout.close()
    assert running.wait(timeout=60) in (0, 120)
    assert running.stderr is not None
    assert "Traceback" not in running.stderr.read()
    running.stderr.close()


def test_a_stray_server_is_never_left(home: Path, documents: Path) -> None:
    # The parent is killed before its server is even up.
    starting = start_kbtui("ingest", documents, home=home)
    wait_until(lambda: (home / "data" / "server.lock").exists(), "the server's start")
    starting.kill()
    starting.communicate()
    wait_until(lambda: server_pid(home), "the server")
    done = run_kbtui("ingest", documents, home=home)
    assert done.returncode == 0
    assert documents_in(home) == 5


def test_info_and_help(home: Path) -> None:
    info = run_kbtui("info", "--json", home=home)
    facts = events(info.stdout)[0]
    assert facts["knowledge base"].startswith(str(home))
    for command in ([], ["ingest"], ["search"], ["serve"], ["info"]):
        shown = run_kbtui(*command, "--help", home=home)
        assert shown.returncode == 0
        assert shown.stdout.startswith("usage: kbtui")


def test_the_app_without_a_terminal_gets_a_hint(home: Path) -> None:
    done = run_kbtui(home=home)
    assert done.returncode == 2
    assert "kbtui ingest" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_serve_refuses_what_it_cannot_do(home: Path, tmp_path: Path) -> None:
    assert run_kbtui("serve", "--root", tmp_path / "none", home=home).returncode == 2
    exposed = run_kbtui("serve", "--host", "0.0.0.0", "--port", "0", home=home)
    assert exposed.returncode == 2
    assert "token" in exposed.stderr
    first = subprocess.Popen(
        [*KBTUI, "serve", "--port", "0"],
        env=environment(home),
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: server_pid(home), "the server")
        second = run_kbtui("serve", "--port", "0", home=home)
        assert second.returncode == 6
        assert "another kbtui server" in second.stderr
    finally:
        first.terminate()
        first.wait(timeout=20)
