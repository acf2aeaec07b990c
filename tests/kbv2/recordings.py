"""The recordings of the real KBV2 server, read into what a replay needs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TRANSCRIPTS = Path(__file__).parent / "transcripts"

INGEST = "kbv2/ingest_document"
RECORDED_PATHS = tuple(f"/srv/kb/docs/{name}" for name in ("alpha.md", "beta.txt", "utf8.md"))
"""Files that the recorded server had: a replay ingests them on any machine."""


def versions() -> list[str]:
    """Every recorded version of the server, by date."""
    return sorted(folder.name for folder in TRANSCRIPTS.iterdir() if folder.is_dir())


def received_frames(version: str) -> list[tuple[str, str]]:
    """Every text frame that the server of `version` ever sent: (file name, text)."""
    return [
        (file.name, line["raw"])
        for file in sorted((TRANSCRIPTS / version).glob("*.jsonl"))
        if file.name != "http.jsonl"
        for line in _lines(file)
        if line["dir"] == "recv"
    ]


@dataclass(frozen=True)
class Script:
    """One recorded ingestion: what was asked, the frames with the seconds before each, the end."""

    params: dict[str, Any]
    frames: list[tuple[float, dict[str, Any]]]
    response: dict[str, Any]
    response_after: float


@dataclass(frozen=True)
class HttpAnswer:
    status: int
    content_type: str
    body: bytes


@dataclass
class Recording:
    """All that is known about one version."""

    version: str
    success: Script
    default_domain: str
    failures: dict[str, Script]
    """Failed (and odd) ingestions by the name of the file that was asked for."""
    replies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Answers by `call_key`."""
    malformed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Answers to frames that are no requests, by the frame's text."""
    http: dict[str, HttpAnswer] = field(default_factory=dict)
    """Answers to GET by path."""


def call_key(call: dict[str, Any]) -> str:
    """What two equal calls have in common; params left out are not params that are null."""
    return json.dumps({key: call[key] for key in ("method", "params") if key in call})


def load(version: str) -> Recording:
    """Read the recording of `version` (a folder of `transcripts`)."""
    folder = TRANSCRIPTS / version
    successes = _scripts(folder / "ingest_success.jsonl")
    unnamed = next(script for script in successes if "domain" not in script.params)
    recording = Recording(
        version=version,
        success=successes[0],
        default_domain=unnamed.response["result"]["domain"],
        failures={
            Path(str(script.params["file_path"])).name: script
            for script in reversed(_scripts(folder / "bad_files.jsonl"))
        },
        http=_http(folder / "http.jsonl"),
    )
    for name in ("queries", "missing_params", "unsupported_method", "dedupe", "malformed"):
        file = folder / f"{name}.jsonl"
        if file.exists():
            _collect_replies(file, recording)
    return recording


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def _is_response(body: Any) -> bool:
    return isinstance(body, dict) and "result" in body and "error" in body


def _scripts(file: Path) -> list[Script]:
    """The ingestions of a file that has one connection and one request at a time."""
    scripts: list[Script] = []
    params: dict[str, Any] | None = None
    frames: list[tuple[float, dict[str, Any]]] = []
    before = 0.0
    for line in _lines(file):
        if line["dir"] == "send":
            params, frames, before = json.loads(line["raw"])["params"], [], line["t"]
        elif line["dir"] == "recv" and params is not None:
            body, wait = json.loads(line["raw"]), line["t"] - before
            before = line["t"]
            if _is_response(body):
                if frames:
                    scripts.append(Script(params, frames, body, wait))
                params = None
            else:
                frames.append((wait, body))
    return scripts


def _collect_replies(file: Path, recording: Recording) -> None:
    sent: str | None = None
    for line in _lines(file):
        if line["dir"] == "send":
            sent = line["raw"]
        elif line["dir"] == "recv" and sent is not None:
            reply = json.loads(line["raw"])
            if not _is_response(reply):
                continue
            try:
                call = json.loads(sent)
            except ValueError:
                call = None
            if isinstance(call, dict) and isinstance(call.get("method"), str):
                recording.replies.setdefault(call_key(call), reply)
            else:
                recording.malformed.setdefault(sent, reply)
            sent = None


def _http(file: Path) -> dict[str, HttpAnswer]:
    answers: dict[str, HttpAnswer] = {}
    asked = ""
    for line in _lines(file):
        if line["conn"] != "http":
            continue
        if line["dir"] == "send":
            asked = line["raw"]
        elif line["dir"] == "recv" and asked.startswith("GET "):
            head, _, body = line["raw"].partition("\n\n")
            status, *headers = head.split("\n")
            fields = dict(header.split(": ", 1) for header in headers)
            answers[asked.removeprefix("GET ")] = HttpAnswer(
                status=int(status.split()[1]),
                content_type=fields.get("content-type", "text/plain"),
                body=body.encode(),
            )
    return answers
