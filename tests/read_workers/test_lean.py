"""What a read worker imports, and what it does without."""

from __future__ import annotations

import json
import subprocess
import sys

ABSENT = {
    "argon2", "asyncio", "bcrypt", "click", "cryptography", "h11", "hypercorn", "jinja2", "jwt", "msgspec",
    "prometheus_client", "quart", "quart_trio", "sqlite_utils", "ssl", "werkzeug",
}  # fmt: skip


def run(program: str) -> list[str]:
    """The list that it prints, of a process of its own."""
    command = [sys.executable, "-c", f"import json, sys\n{program}"]
    return list(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def test_a_read_worker_imports_what_it_needs() -> None:
    found = run(
        "from registry.read_workers.lean import import_lean; import_lean()\n"
        "import registry.read_workers.process; print(json.dumps(sorted(sys.modules)))"
    )
    assert {"trio", "structlog", "registry.http.express"} <= set(found)
    assert not ABSENT & {name.partition(".")[0] for name in found}
    assert "_ssl" not in found


def test_what_was_left_out_can_be_imported_later() -> None:
    found = run(
        "from registry.read_workers.lean import import_lean; import_lean()\n"
        "import asyncio, ssl; print(json.dumps([type(ssl.create_default_context()).__name__, asyncio.run.__name__]))"
    )
    assert found == ["SSLContext", "run"]


def test_where_that_fails_all_is_imported() -> None:
    found = run(
        "from registry.read_workers import lean; lean._UNUSED = ('socket',); lean.import_lean()\n"
        "import socket, trio; trio.run(trio.sleep, 0)\n"
        "print(json.dumps([socket.socketpair.__module__, *(name for name in sys.modules if name == 'ssl')]))"
    )
    assert found == ["socket", "ssl"]


def test_memory_is_given_back_and_the_program_goes_on() -> None:
    assert run(
        "from registry.read_workers.lean import give_back_memory; give_back_memory(); print(json.dumps(['on']))"
    ) == ["on"]
