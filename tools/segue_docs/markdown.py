"""The little Markdown that the reference pages need.

Rule: whatever a cell holds, the table stays a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells may hold Markdown, but no line ends."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell_text(cell) for cell in line) + " |\n" for line in lines)


def cell_text(text: str) -> str:
    """The text on one line, without a bar that would end its cell."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: object) -> str:
    """As code; nothing stays nothing."""
    return f"`{text}`" if str(text) else ""


def block(text: str, language: str = "") -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def generated_from(*modules: str) -> str:
    """The line that says where a page comes from."""
    names = ", ".join(f"`{module}`" for module in modules)
    return f"*Made from {names} when these pages are built.*\n\n"
