"""Regular expressions of users: checked so that no text can make one take long. Pure.

A part of Python's syntax is understood: characters, sets, `.`, `^`, `$`, groups, `|` and repeats. For it, the ways in
which a search may go through a text of 500 characters are counted, for Python's engine tries them one by one; where
there are too many, as in `(a+)+`, the pattern is refused.

Rule: what is not understood is refused; a pattern that passes takes no more than some 50 ms for any text that can be an
id.
"""

from __future__ import annotations

import re

from segue.core.errors import Invalid

LENGTH_MOST = 200
TEXT_MOST = 500
STEPS_MOST = 40_000_000
"""Ways through a text, each as long as the pattern: what two repeats and a choice of four come to."""

_TOKEN = re.compile(
    r"""(?P<repeat>[*+?]\??|\{(?P<least>\d{1,3})(?P<comma>,(?P<most>\d{1,3})?)?\}\??)
      | (?P<open>\((?:\?:)?(?!\?))
      | (?P<close>\))
      | (?P<bar>\|)
      | (?P<atom>\\[dDwWsSb] | \\[^\w\s] | \[\^?(?:\\[dDwWsS]|\\[^\w\s]|[^\[\]\\])+\] | [^\\\[\]{}()*+?|])""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)


def check_pattern(pattern: str, field: str) -> None:
    """Raises Invalid where the text is no regular expression that may be used."""
    if not pattern or len(pattern) > LENGTH_MOST:
        raise Invalid(f"a regular expression has 1 to {LENGTH_MOST} characters", field=field)
    tokens = _tokens(pattern, field)
    try:
        re.compile(pattern)
    except re.error as error:
        raise Invalid(f"is no regular expression: {error}", field=field) from None
    ways = 1 if _begins_at_start(tokens) else TEXT_MOST  # else it is tried at each place of the text
    if ways * _alternatives(tokens) * len(pattern) > STEPS_MOST:
        raise Invalid(
            "could take very long on some texts: begin it with ^, and use few of * + ? and |, none within another",
            field=field,
        )


def _tokens(pattern: str, field: str) -> list[re.Match[str]]:
    """The pattern in pieces, the last first, to be popped."""
    found: list[re.Match[str]] = []
    place = 0
    while place < len(pattern):
        token = _TOKEN.match(pattern, place)
        if token is None:
            words = f"{pattern[place : place + 10]!r} is not understood here; there are characters, sets, groups, |"
            raise Invalid(f"{words} and the repeats * + ? {{n}} {{n,m}}", field=field)
        found.append(token)
        place = token.end()
    return found[::-1]


def _begins_at_start(tokens: list[re.Match[str]]) -> bool:
    depth = 0
    for token in tokens:
        depth += bool(token["close"]) - bool(token["open"])  # from the last to the first
        if token["bar"] and depth == 0:
            return False
    return tokens[-1][0] == "^"


def _alternatives(tokens: list[re.Match[str]]) -> int:
    """The ways through what stands up to the end of the group; its parenthesis is taken."""
    total, ways = 0, 1
    while tokens:
        token = tokens.pop()
        if token["close"]:
            break
        if token["bar"]:
            total, ways = total + ways, 1
            continue
        inner = _alternatives(tokens) if token["open"] else 1
        if tokens and tokens[-1]["repeat"]:
            inner = _repeated(inner, tokens.pop())
        ways = min(ways * inner, STEPS_MOST)
    return min(total + ways, STEPS_MOST)


def _repeated(ways: int, token: re.Match[str]) -> int:
    """The ways through a repeat of something that has itself so many."""
    sign = token["repeat"][0]
    if sign != "{":
        least, most = int(sign == "+"), 1 if sign == "?" else TEXT_MOST
    else:
        least = int(token["least"])
        most = int(token["most"] or TEXT_MOST) if token["comma"] else least
    total = 0
    for times in range(least, max(least, most) + 1):
        total += ways**times
        if total > STEPS_MOST:
            break
    return max(total, least)
