"""From the text of a definition to its tree, or to an error that whoever wrote it can act on.

Rule: no text of any length or depth makes it fail otherwise than by Mistaken, and none takes longer than its length
allows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

from segue.compute.builder import Builder, Place
from segue.compute.checks import DEPTH_MOST, TEXT_BYTES_MOST, TOO_DEEP, Kind, check
from segue.compute.grammar import (
    COMPARISONS,
    KEYWORDS,
    LABELS,
    METHODS,
    NAMES,
    OF_STREAMS,
    PHRASES,
    UNKNOWN,
    WORDS,
    parser,
)
from segue.compute.mistakes import Mistake, Mistaken, closest, one_of, shortened
from segue.compute.tree import Definition, parts

if TYPE_CHECKING:
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

ADVICE = {
    "&&": "write AND",
    "&": "write AND",
    "||": "write OR",
    "|": "write OR",
    "!": "write NOT (…), or != for values",
    "“": "write straight quotes: '",
    "”": "write straight quotes: '",
    "‘": "write straight quotes: '",
    "’": "write straight quotes: '",
    "`": "write straight quotes: '",
    "≥": "write >=",
    "≤": "write <=",
    "≠": "write !=",
    "+": "write positive numbers without a sign; arithmetic does not exist here",
    "*": "arithmetic does not exist here",
    "/": "write a date as 2026-03-10; arithmetic does not exist here",
    "#": "comments do not exist here",
    ";": "write commas between values",
    "[": "write a list without brackets: .one_of('a', 'b')",
}
"""What is meant by characters that mean nothing here."""
MEANT = {
    "minute": "hours (or 1800 seconds, in .expires_after)",
    "minutes": "hours (or 1800 seconds, in .expires_after)",
    "week": "days",
    "weeks": "days",
    "month": "days",
    "months": "days",
    "year": "days",
    "years": "days",
    "is": "=",
    "in": ".one_of(…)",
    "like": ".contains(…)",
    "average": ".avg",
    "null": ".absent() or .exists()",
}
"""What is meant by words of other languages."""


class Reading(NamedTuple):
    """A text as read: the tree, and where each of its parts begins, by the part's path in the JSON form."""

    tree: Definition
    places: dict[str, Place]

    def placed(self, mistakes: Iterable[Mistake]) -> list[Mistake]:
        """The mistakes with line and column, in the order of the text."""
        found = []
        for mistake in mistakes:
            line, column = self.places[mistake.path]
            found.append(Mistake(message=mistake.message, path=mistake.path, line=line, column=column))
        return sorted(found, key=lambda mistake: (mistake.line, mistake.column))


def parse(text: str, kind: Kind, *, audiences: Collection[str] | None = None) -> Definition:
    """The definition of an audience or a computed trait.

    `audiences`: the keys that `audience('…')` may name; None where they are not known yet. Raises Mistaken with all
    that is wrong; of what the grammar refuses, the first.
    """
    reading = read(text, kind)
    mistakes = check(reading.tree, kind, audiences=audiences)
    if mistakes:
        raise Mistaken(reading.placed(mistakes))
    return reading.tree


def read(text: str, kind: Kind | None = None) -> Reading:
    """What the grammar makes of a text, whether or not it may be used. Raises Mistaken with the first mistake, and
    where it nests too deep.

    `kind` changes no answer, only what an error calls expected.
    """
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    size_bytes = len(text.encode("utf-8", "surrogatepass"))
    if size_bytes > TEXT_BYTES_MOST:
        message = f"the definition has {size_bytes} bytes, {TEXT_BYTES_MOST // 1024} KiB is the most"
        raise Mistaken([Mistake(message=message, line=1, column=1)])
    try:
        parsed = parser().parse(text)
    except UnexpectedToken as error:
        raise Mistaken([_unexpected(text, error, kind)]) from None
    except UnexpectedCharacters as error:
        raise Mistaken([_unreadable(text, error)]) from None
    builder = Builder()
    tree = builder.build(parsed)
    places = {}
    for path, part, depth in parts(tree):
        line, column = places[path] = builder.place(part)
        if depth > DEPTH_MOST:  # said here, for the paths of all that is deeper would fill the memory
            raise Mistaken([Mistake(message=TOO_DEEP, path=path, line=line, column=column)])
    return Reading(tree, places)


def _unexpected(text: str, error: UnexpectedToken, kind: Kind | None) -> Mistake:
    """A token that cannot stand where it stands."""
    ends = error.token.type == "$END"
    found = "" if ends else str(error.token)
    line, column = _end(text) if ends else (error.line, error.column)
    accepted = _accepted(text, error)
    if {"$END", "SYMBOL"} <= accepted:  # after the value that is all of a trait's definition and half of an audience's
        accepted -= {"$END"} if kind == "audience" else COMPARISONS if kind == "trait" else set()
    expected = phrases(accepted)
    meant = "" if ends else _meant(found, error.token.type, accepted)
    message = f"found {NAMES['$END'] if ends else shortened(found)}, expected {one_of(expected)}"
    if meant:
        message = f"{message}; did you mean {meant}?"
    return Mistake(message=message, line=line, column=column, found=found, expected=expected, meant=meant)


def _accepted(text: str, error: UnexpectedToken) -> set[str]:
    """The terminals that may stand where the token stands.

    Read again up to there: where the error shows, the parser may have settled already on what the token rules out.
    """
    state = parser().parse_interactive(text)
    for token in state.iter_parse():
        if error.token.type != "$END" and token.start_pos == error.token.start_pos:
            break
    return {str(name) for name in state.accepts()}  # type: ignore[no-untyped-call]


def phrases(accepted: set[str]) -> tuple[str, ...]:
    """What may follow, in words; several terminals that belong together are one phrase."""
    left = set(accepted)
    said = []
    for needed, covered, phrase in PHRASES:
        if needed <= left:
            said.append(phrase)
            left -= covered
    return (*said, *sorted({NAMES.get(name, name.strip("_").lower()) for name in left}))


def _meant(found: str, terminal: str, accepted: set[str]) -> str:
    """The word that was probably meant: one that may stand there, else any other than the one found."""
    word = found.strip(".: \n").casefold()
    if word in MEANT:
        return MEANT[word]
    spelt = [
        *((name, name, terminal) for table in (KEYWORDS, WORDS) for name, terminal in table.items()),
        *((name, f".{name}", terminal) for name, terminal in METHODS.items()),
        *((name, f"{name}:", terminal) for name, terminal in LABELS.items()),
    ]
    fitting = {name: shown for name, shown, of in spelt if of in accepted}
    if terminal not in UNKNOWN:
        return fitting.get(word, "")
    if terminal == "WORD" and word in METHODS and word not in fitting:
        return f"{'event' if METHODS[word] in OF_STREAMS else 'trait'}('…').{word}(…)"
    name = closest(word, fitting)
    return fitting[name] if name else _quoted(found, accepted) if terminal == "WORD" else ""


def _quoted(word: str, accepted: set[str]) -> str:
    """A word that stands without quotes where a name or a text belongs."""
    if "STRING" in accepted:
        return f"'{word}'"
    return f"property('{word}')" if "PROPERTY" in accepted and "PREFIX" not in accepted else ""


def _unreadable(text: str, error: UnexpectedCharacters) -> Mistake:
    """A character that begins nothing."""
    at = error.pos_in_stream or 0
    found = text[at : at + 2] if text[at : at + 2] in ADVICE else text[at]
    if found in "'\"":
        message = f"the text that begins here is never closed: {found} is missing at its end"
    else:
        message = f"found {found}, which has no meaning in a definition"
        message = f"{message}; {ADVICE[found]}" if found in ADVICE else message
    return Mistake(message=message, line=error.line, column=error.column, found=found)


def _end(text: str) -> Place:
    """The place right after the last character that is no white space."""
    lines = text.rstrip().split("\n")
    return len(lines), len(lines[-1]) + 1
