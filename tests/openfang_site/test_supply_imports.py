"""Everything that the code imports is a requirement with a version and a reason, not only another package's."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

from openfang_site.supply_chain import locks

ROOT = Path(__file__).resolve().parents[2]
SERVER = ("agents", "openai_compat", "openfang_site")
OURS = {*SERVER, "tests", "benchmarks"}
APART = "clients_agents"  # has a separate environment and requirements


def modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports(*folders: str) -> dict[str, set[str]]:
    """Return which modules of other people the Python files of our folders import, and where."""
    found = defaultdict(set)
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py") if APART not in file.parts):
        for module in modules(ast.parse(file.read_text(encoding="utf-8"))):
            if module.partition(".")[0] not in sys.stdlib_module_names | OURS:
                found[module].add(str(file.relative_to(ROOT)))
    return found


@cache
def packages() -> Mapping[str, list[str]]:
    return packages_distributions()


@cache
def files(package: str) -> frozenset[str]:
    return frozenset(str(file) for file in distribution(package).files or ())


def owners(module: str) -> set[str]:
    """Return the installed packages that may have brought a module; several share a namespace such as opentelemetry."""
    sharing = packages().get(module.partition(".")[0], [])
    if len(set(sharing)) < 2:
        return set(sharing)
    parts = module.split(".")
    for depth in range(len(parts), 0, -1):
        path = "/".join(parts[:depth])
        having = {name for name in sharing if {f"{path}.py", f"{path}/__init__.py"} & files(name)}
        if having:
            return having
    return set()


def undeclared(folders: tuple[str, ...], *requirements: str) -> list[str]:
    declared = {name for file in requirements for name, _ in locks.required(ROOT / file)}
    return [
        f"{module} ({', '.join(sorted(places)[:3])})"
        for module, places in sorted(imports(*folders).items())
        if not {locks.canonical(owner) for owner in owners(module)} & declared
    ]


def test_what_the_server_imports_is_in_its_requirements():
    assert undeclared(SERVER, "requirements.txt", "requirements-model.txt", "requirements-otel.txt") == []


def test_what_the_tests_import_is_in_their_requirements():
    assert undeclared(("tests", "benchmarks"), "requirements-dev.txt") == []


def test_an_import_that_only_another_package_brings_is_found():
    assert owners("attr.validators") == {"attrs"}
    assert "attrs" not in {name for name, _ in locks.required(ROOT / "requirements.txt")}
    assert owners("opentelemetry.trace") == {"opentelemetry-api"}
