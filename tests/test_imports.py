"""The house's walls: who may import whom, and what a command may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kbtui

ROOT = Path(kbtui.__file__).parent

# What each package may import of kbtui, besides itself.
ALLOWED: dict[str, set[str]] = {
    "protocol": set(),
    "connection": {"protocol", "__init__"},
    "ingest": {"protocol", "connection"},
    "watch": {"ingest"},
    "state": {"protocol", "connection", "ingest"},
    "client": {"protocol", "connection", "ingest", "watch", "state", "paths"},
    "server": {"protocol", "__init__"},
    "tui": {"protocol", "connection", "ingest", "watch", "state", "__init__"},
    "cli": {"protocol", "connection", "ingest", "watch", "state", "client", "tui", "paths"}
    | {"__init__"},
    "paths": set(),
    "__main__": {"cli"},
    "__init__": set(),
}

# The command line may name the server in one module only.
SERVER_STARTER = "cli/serve.py"

# Modules that do input or output, which the protocol must not need.
IO_MODULES = {"asyncio", "socket", "ssl", "os", "io", "pathlib", "subprocess", "threading"} | {
    "time", "websockets", "sqlite3", "logging", "http", "urllib", "tempfile", "shutil", "signal"
}  # fmt: skip

HEAVY = ["textual", "rich", "onnxruntime", "numpy", "tokenizers", "pypdfium2", "docx", "watchfiles"]
SERVER_HEAVY = ["onnxruntime", "numpy", "tokenizers", "pypdfium2", "docx", "html_to_markdown"]


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def part(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_import_rules(path: Path) -> None:
    mine = part(path)
    allowed = ALLOWED[mine] | {mine}
    if str(path.relative_to(ROOT)) == SERVER_STARTER:
        allowed = allowed | {"server"}
    for name in imported(path):
        top, _, rest = name.partition(".")
        if top == "kbtui" and rest:
            other = rest.split(".")[0]
            if (ROOT / other).is_dir() or (ROOT / f"{other}.py").is_file():
                assert other in allowed, f"{path.relative_to(ROOT)} imports {name}"
            else:
                assert "__init__" in allowed, f"{path.relative_to(ROOT)} imports {name}"
        if top == "textual":
            assert mine == "tui", f"{path.relative_to(ROOT)} imports textual"
        if mine == "protocol":
            assert top not in IO_MODULES, f"{path.relative_to(ROOT)} imports {name}"


def loaded(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after running `code`."""
    script = f"import sys\n{code}\nprint(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def run_main(*arguments: str) -> str:
    return (
        "from kbtui.cli.main import main\n"
        f"try:\n    main({list(arguments)!r})\nexcept SystemExit:\n    pass\n"
    )


def test_nothing_outside_tui_loads_textual() -> None:
    names = [
        ".".join(("kbtui", *path.relative_to(ROOT).with_suffix("").parts))
        for path in modules()
        if part(path) not in ("tui", "__main__") and "server" not in path.parts
    ]
    code = "\n".join(f"import {name.removesuffix('.__init__')}" for name in names)
    assert "textual" not in loaded(code)


def test_version_loads_nothing_heavy() -> None:
    assert not loaded(run_main("--version")) & {*HEAVY, "websockets", "asyncio", "sqlite3"}


def test_help_of_ingest_loads_neither_textual_nor_the_server() -> None:
    assert not loaded(run_main("ingest", "--help")) & {*HEAVY, "textual"}


def test_ingest_without_a_terminal_loads_neither_textual_nor_the_server(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.md")
    assert not loaded(run_main("ingest", missing)) & {*SERVER_HEAVY, "textual", "rich"}


def test_the_app_loads_nothing_of_the_server() -> None:
    assert not loaded("import kbtui.tui.run") & set(SERVER_HEAVY)


def test_the_server_loads_nothing_of_the_client() -> None:
    code = "import kbtui.server.app\nimport sys\n"
    code += "print(*[m for m in sys.modules if m.startswith('kbtui.')], file=sys.stderr)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mine = {name.split(".")[1] for name in done.stderr.split()}
    assert mine <= {"server", "protocol"}
    assert not loaded("import kbtui.server.app") & set(SERVER_HEAVY)
