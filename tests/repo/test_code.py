"""The code as a whole: sizes, docstrings, nothing unused, imports that point down."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.repo.conftest import ROOT, trees

FUNCTION_LINES_MOST = 70

ENTRY_POINTS = {
    "segue.cli.__main__",  # python -m segue.cli
    "segue.wiring.child",  # started by the supervisor: python -m segue.wiring.child
}
FOUND_BY_LOOKING = ("segue.destinations.", "segue.sandbox.")
"""The catalog and the sandboxes look for modules that hold a `destination` or a `receiver`."""


def test_no_function_is_longer_than_seventy_lines():
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in trees("src", "tests", "tools", "bench", "demo", "examples").items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MOST
    ]
    assert not long


def test_every_module_says_what_it_is():
    silent = [str(path) for path, tree in trees("src", "tools", "bench", "demo", "examples").items() if not _says(tree)]
    assert not silent


def _says(tree: ast.Module) -> bool:
    docstring = ast.get_docstring(tree) or ""
    first = docstring.split("\n\n")[0]
    return len(first) > 20 and first.rstrip().endswith((".", ":"))


def test_every_module_of_segue_names_the_rule_that_must_stay_true():
    without = [str(path) for path, tree in trees("src").items() if "Rule: " not in (ast.get_docstring(tree) or "")]
    assert [name for name in without if name != "src/segue/__init__.py"] == []


def module_name(path: Path) -> str:
    """The dotted name of a file under `src`."""
    parts = path.with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, tree: ast.Module) -> Iterator[str]:
    """Every dotted name that a file imports, and `package.name` for each name taken from a package."""
    package = module_name(path).split(".") if path.parts[0] == "src" else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + (path.name == "__init__.py")]) if node.level else ""
            base = ".".join(part for part in (base, node.module) if part)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def test_no_module_is_there_that_nobody_imports():
    used = {name for path, tree in trees("src").items() for name in imported(path, tree)}
    modules = {module_name(path): tree for path, tree in trees("src").items()}
    unused = {name for name in modules if name not in used | ENTRY_POINTS and not _is_found(name, modules[name])}
    packages = {name for name in modules if any(other.startswith(f"{name}.") for other in used)}
    assert unused - packages == set()


def _is_found(name: str, tree: ast.Module) -> bool:
    given = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    return name.startswith(FOUND_BY_LOOKING) and bool(given & {"destination", "receiver"})


def test_nothing_is_left_for_later():
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    left = [
        f"{path}: {mark}"
        for path in trees("src", "tests", "tools", "bench", "demo", "examples")
        for mark in marks
        if mark in (ROOT / path).read_text("utf-8")
    ]
    assert not left


def test_every_test_that_is_skipped_says_why():
    for path, tree in trees("tests").items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in ("skipif", "xfail", "skip"):
                calls = [call for call in ast.walk(tree) if isinstance(call, ast.Call) and call.func is node]
                assert calls and (calls[0].args or calls[0].keywords), f"{path}:{node.lineno}"


def test_imports_point_down_and_destinations_do_no_io():
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert " kept, 0 broken" in checked.stdout
