"""The table of layers: who may import what."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "registry"

OURS = {
    "oci": {"oci"},
    "store": {"store", "oci", "tally"},
    "service": {"service", "store", "oci", "tally"},
    "http": {"http", "service", "oci", "request_log", "tally"},
    "transfer": {"transfer", "oci"},
}
LIBRARIES: dict[str, set[str]] = {
    "oci": set(),
    "store": {"sqlite_utils", "trio", "zstandard"},
    "service": {"argon2", "bcrypt", "h11", "jwt", "structlog", "trio"},
    "http": {
        "cryptography",
        "h11",
        "hypercorn",
        "prometheus_client",
        "quart",
        "quart_trio",
        "structlog",
        "trio",
        "werkzeug",
    },
    "transfer": {"zstandard"},
}
ALONE = {
    "addresses.py": set(),
    "config.py": {"msgspec", "registry", "registry.addresses", "registry.issuer_settings", "registry.quantities"},
    "issuer_settings.py": {"msgspec"},
    "journal.py": set(),
    "logs.py": {"structlog", "registry", "registry.journal", "registry.request_log"},
    "quantities.py": set(),
    "read_workers/lean.py": set(),
    "read_workers/link.py": {"trio"},
    "gathering.py": {"registry.request_log", "trio"},
    "request_log.py": {"structlog"},
    "tally.py": set(),
    "systemd.py": set(),
}
FORBIDDEN_WORDS = {
    "oci": ["async def", "open("],
    "service": ["quart", "sqlite3.connect", "SELECT ", "INSERT ", "UPDATE ", "DELETE FROM", "os.path"],
    "http": ["sqlite3", "execute("],
}


def modules(layer: str) -> list[Path]:
    found = sorted((ROOT / layer).glob("*.py"))
    assert found
    return found


def imports(path: Path) -> set[str]:
    """Every module that a file imports, those for type checking too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            found |= {f"{base}.{alias.name}" for alias in node.names} if base == "registry" else {base}
    return found


@pytest.mark.parametrize("layer", OURS)
def test_a_layer_imports_the_layers_below_and_its_libraries(layer: str) -> None:
    for path in modules(layer):
        for module in imports(path):
            top, _, rest = module.partition(".")
            if top == "registry":
                assert rest.split(".")[0] in OURS[layer], f"{path} imports {module}"
            else:
                assert top in sys.stdlib_module_names | LIBRARIES[layer], f"{path} imports {module}"


@pytest.mark.parametrize("name", ALONE)
def test_a_module_that_stands_alone_imports_its_library(name: str) -> None:
    for module in imports(ROOT / name):
        top = module.partition(".")[0]
        assert module in ALONE[name] or top in sys.stdlib_module_names | ALONE[name], f"{name} imports {module}"


@pytest.mark.parametrize("layer", FORBIDDEN_WORDS)
def test_a_layer_does_not_know_what_is_not_its_business(layer: str) -> None:
    for path in modules(layer):
        code = ast.unparse(_without_docstrings(ast.parse(path.read_text())))
        for word in FORBIDDEN_WORDS[layer]:
            assert word not in code, f"{path} has {word!r}"


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body[0] = ast.Pass()
    return tree


@pytest.mark.parametrize("layer", OURS)
def test_a_layer_says_its_laws_and_nothing_else_in_its_init(layer: str) -> None:
    tree = ast.parse((ROOT / layer / "__init__.py").read_text())
    assert "Laws of this layer" in (ast.get_docstring(tree) or "")
    assert len(tree.body) == 1


def test_no_file_is_longer_than_300_lines_and_none_is_called_utils() -> None:
    for path in [*ROOT.rglob("*.py"), *Path(__file__).parent.rglob("*.py")]:
        assert len(path.read_text().splitlines()) <= 300, path
        assert path.stem not in {"utils", "helpers", "misc", "common"}, path
