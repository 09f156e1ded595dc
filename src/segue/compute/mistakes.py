"""What is wrong with a definition, said so that who wrote it can put it right.

Rule: a mistake says where it is (line and column of a text, path of a JSON tree), what was found and what is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from msgspec import Struct

from segue.core.errors import Invalid

FOUND_CHARACTERS_MOST = 40
"""How much of what was found a message repeats."""
ALIKE = 0.65
"""How alike two words are at least (difflib's ratio) before one is offered for the other."""


class Mistake(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong. `line` and `column` count from 1, in characters; 0 where there is no text.

    `path` names the node in the JSON form, such as `items[0].left`. `expected` is empty where nothing would be right
    in that place.
    """

    message: str
    path: str = ""
    line: int = 0
    column: int = 0
    found: str = ""
    expected: tuple[str, ...] = ()
    meant: str = ""

    def __str__(self) -> str:
        """The sentence with its place in front."""
        if self.line:
            return f"line {self.line}, column {self.column}: {self.message}"
        return f"{self.path}: {self.message}" if self.path else self.message


class Mistaken(Invalid):
    """A definition that cannot be used; `mistakes` says each thing that is wrong, in the order of the text."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        assert mistakes
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = tuple(mistakes)


def closest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant; empty where none is alike. The case of letters is no difference."""
    by_spelling = {name.casefold(): name for name in sorted(known, reverse=True)}
    found = get_close_matches(word.casefold(), by_spelling, n=1, cutoff=ALIKE)
    return by_spelling[found[0]] if found else ""


def one_of(names: Sequence[str]) -> str:
    """A list as a sentence says it: `a, b or c`."""
    return " or ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def shortened(found: str) -> str:
    """What was found, on one line, cut where it is long."""
    line = " ".join(found.split())
    return line if len(line) <= FOUND_CHARACTERS_MOST else f"{line[: FOUND_CHARACTERS_MOST - 1]}…"
