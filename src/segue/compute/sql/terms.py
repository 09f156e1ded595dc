"""The words of a query: names, literals, calls, as sqlglot has them.

Rule: a text that came from outside becomes a literal or a quoted name here; whatever characters it has, it ends where
it ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from sqlglot import exp

Term: TypeAlias = exp.Expr

NOTHING = exp.cast(exp.null(), "VARCHAR")
FALSE = exp.false()
_NUL = "\x00"
_NEVER = "\U0010fffe"


def name(text: str) -> exp.Identifier:
    """An identifier, quoted."""
    return exp.to_identifier(text, quoted=True)


def column(text: str, table: str) -> exp.Column:
    """A column of a relation of this query."""
    return exp.column(name(text), table=name(table))


def table(text: str, alias: str) -> exp.Table:
    """A relation by its name."""
    return exp.Table(this=name(text), alias=exp.TableAlias(this=name(alias)))


def call(function: str, *arguments: Term) -> exp.Anonymous:
    """A function of DuckDB or a macro of `readings`."""
    return exp.Anonymous(this=function, expressions=list(arguments))


def text(value: str) -> Term:
    """A text. The character 0, which no query may hold, is put in by a call; half of a surrogate pair, which no text of
    the lake has, becomes a character that stands for nothing.
    """
    whole = "".join(_NEVER if "\ud800" <= character <= "\udfff" else character for character in value)
    parts = [exp.Literal.string(part) for part in whole.split(_NUL)]
    found: Term = parts[0]
    for part in parts[1:]:
        found = exp.Paren(
            this=exp.DPipe(this=exp.DPipe(this=found, expression=call("chr", number(0))), expression=part)
        )
    return found


def number(value: int) -> exp.Literal | exp.Neg:
    """A whole number of 64 bits."""
    return exp.Literal.number(value)


def double(value: float) -> exp.Cast:
    """A double, by the text that reads back as the same."""
    return exp.cast(exp.Literal.string(repr(float(value))), "DOUBLE")


def huge(value: int) -> exp.Cast:
    """A whole number of up to 38 digits."""
    return exp.cast(exp.Literal.string(str(value)), "HUGEINT")


def both(conditions: Iterable[Term]) -> Term:
    """AND over any number of conditions."""
    return exp.and_(*conditions, copy=False)


def either(conditions: Iterable[Term]) -> Term:
    """OR over any number of conditions."""
    return exp.or_(*conditions, copy=False)


def opposite(condition: Term) -> Term:
    """NOT."""
    return exp.Not(this=exp.Paren(this=condition))


def surely(condition: Term) -> Term:
    """The condition, false where it is unknown."""
    return call("coalesce", condition, FALSE.copy())


def is_there(value: Term) -> Term:
    """IS NOT NULL."""
    return exp.Not(this=exp.Is(this=value, expression=exp.null()))


def case(*branches: tuple[Term, Term], otherwise: Term | None = None) -> exp.Case:
    """CASE WHEN."""
    found = exp.Case(ifs=[exp.If(this=condition, true=value) for condition, value in branches])
    if otherwise is not None:
        found.set("default", otherwise)
    return found


def row(*values: Term) -> Term:
    """Several values that are compared one after the other."""
    return call("row", *values)


def function_of(variable: str, body: Term) -> exp.Lambda:
    """A function of one variable."""
    return exp.Lambda(this=body, expressions=[exp.to_identifier(variable)])


def filtered(aggregate: Term, condition: Term | None) -> Term:
    """An aggregate over the rows of which a condition is true; of all rows without one."""
    return aggregate if condition is None else exp.Filter(this=aggregate, expression=exp.Where(this=condition))
