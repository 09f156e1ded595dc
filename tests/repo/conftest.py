"""What the tests about the repository look at: its files, its pages, its code."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


@cache
def made_pages() -> dict[str, str]:
    """The pages that are made from the code, by their path under `docs/`."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from segue_docs import pages

        return pages()
    finally:
        sys.path.remove(str(ROOT / "tools"))


@pytest.fixture(scope="session")
def pages() -> dict[str, str]:
    """The pages that are made from the code, by their path under `docs/`."""
    return made_pages()


@cache
def written_pages() -> dict[str, str]:
    """Every Markdown file that stands in the repository, by its path from the root."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in found}


def trees(*folders: str) -> dict[Path, ast.Module]:
    """The Python files of these folders, parsed."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {path.relative_to(ROOT): _parsed(path) for path in paths}


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file that git knows, from the root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return tuple(Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file())
