"""The grammar of the text form, the words it knows, and how each is called in an error.

The lexer knows words, not functions: which terminal a word is, `WordsToTerminals` decides by the tables below. So a
word that is misspelt is still one word, and the error can say what was probably meant.

Rule: whatever the grammar accepts, the builder turns into a tree; what a form may not do where it stands is for
`checks` to say, so that text and JSON are refused in the same words.

Source: Segment's "Query language" (a private beta), with the slips and silences that it has decided here: `=` and `==`
are one, braces are optional, keywords in any case, white space anywhere between tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, get_args

from segue.compute.tree import Affix, Dated, Existence, Match, Relation, Relative

if TYPE_CHECKING:
    from lark import Lark, Token

GRAMMAR = r"""
definition: condition | scalar
condition: conjunction (_OR conjunction)*
conjunction: unary (_AND unary)*
?unary: PREFIX unary -> prefixed
      | _LPAR condition _RPAR
      | leaf
?leaf: scalar comparison -> compare
     | AUDIENCE _LPAR STRING _RPAR -> audience
?scalar: field | reduction

?field: TRAIT _LPAR STRING _RPAR -> trait
      | CONTEXT _LPAR STRING _RPAR -> context
      | PROPERTY _LPAR [PARENT] STRING _RPAR -> property

reduction: stream reducer
stream: (EVENT | ENTITY) _LPAR STRING _RPAR filter*
?filter: WHERE _LPAR condition _RPAR -> where
       | WHERE _LPAR _LBRACE condition _RBRACE _RPAR -> where
       | SOURCES _LPAR _EXCLUDE STRING (_COMMA STRING)* _RPAR -> sources
       | SOURCES _LPAR _LBRACE _EXCLUDE STRING (_COMMA STRING)* _RBRACE _RPAR -> sources
       | WITHIN _LPAR [PARENT] span _RPAR -> within
       | BETWEEN _LPAR [PARENT] span _COMMA span _RPAR -> between
       | EXPIRES_AFTER _LPAR span _RPAR -> session
?reducer: COUNT _LPAR _RPAR -> count
        | FIELD_REDUCER _LPAR field _RPAR -> field_reducer
        | EXTREME _LPAR field [_AS TYPE] _RPAR -> extreme
        | MODE _LPAR field [_AS TYPE] [_COMMA NUMBER] _RPAR -> mode
        | UNIQUE _LPAR field _RPAR [COUNT _LPAR _RPAR] -> unique

?comparison: SYMBOL operand -> relation
           | RELATION _LPAR operand _RPAR -> relation
           | EXISTENCE _LPAR _RPAR -> literals
           | MATCH _LPAR literal (_COMMA literal)* _RPAR -> literals
           | AFFIX _LPAR text _RPAR -> literals
           | DATED _LPAR (date | text) _RPAR -> literals
           | RELATIVE _LPAR duration _RPAR -> literals
?operand: literal | scalar
?literal: number | text | date | _LITERAL _LPAR literal _RPAR
number: NUMBER
text: STRING | BOOLEAN
date: DATE
span: NUMBER UNIT
duration: NUMBER UNIT

%declare _AND _OR PREFIX AUDIENCE TRAIT CONTEXT PROPERTY EVENT ENTITY _LITERAL BOOLEAN _AS TYPE UNIT PARENT _EXCLUDE
%declare WHERE SOURCES WITHIN BETWEEN EXPIRES_AFTER COUNT FIELD_REDUCER EXTREME MODE UNIQUE
%declare RELATION EXISTENCE MATCH AFFIX DATED RELATIVE

DATE.3: /[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]*(Z|[+-][0-9:]*)?)?/
NUMBER.2: /-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?/
LABEL.2: /[^\W0-9]\w*\s*:/
METHOD.2: /\.\s*[^\W0-9]\w*/
WORD: /[^\W0-9]\w*/
STRING: /'(\\.|[^'\\])*'|"(\\.|[^"\\])*"/s
SYMBOL: /==|!=|>=|<=|=|>|</
_LPAR: "("
_RPAR: ")"
_LBRACE: "{"
_RBRACE: "}"
_COMMA: ","
%ignore /\s+/
"""

KEYWORDS = {"AND": "_AND", "OR": "_OR", "NOT": "PREFIX", "ANY": "PREFIX", "ALL": "PREFIX"}
"""Words that are read in any case."""
WORDS = {
    **dict.fromkeys(("true", "false"), "BOOLEAN"),
    **dict.fromkeys(("number", "string", "array"), "TYPE"),
    **dict.fromkeys(("second", "seconds", "hour", "hours", "day", "days"), "UNIT"),
    "audience": "AUDIENCE",
    "trait": "TRAIT",
    "context": "CONTEXT",
    "property": "PROPERTY",
    "event": "EVENT",
    "entity": "ENTITY",
    "literal": "_LITERAL",
    "as": "_AS",
}
LABELS = {"parent": "PARENT", "exclude": "_EXCLUDE"}
"""Words with a colon after them."""
METHODS = {
    "where": "WHERE",
    "sources": "SOURCES",
    "within": "WITHIN",
    "between": "BETWEEN",
    "expires_after": "EXPIRES_AFTER",
    "count": "COUNT",
    **dict.fromkeys(("sum", "avg", "first", "last"), "FIELD_REDUCER"),
    **dict.fromkeys(("min", "max"), "EXTREME"),
    "mode": "MODE",
    "unique": "UNIQUE",
    **dict.fromkeys(get_args(Relation), "RELATION"),
    **dict.fromkeys(get_args(Existence), "EXISTENCE"),
    **dict.fromkeys(get_args(Match), "MATCH"),
    **dict.fromkeys(get_args(Affix), "AFFIX"),
    **dict.fromkeys(get_args(Dated), "DATED"),
    **dict.fromkeys(get_args(Relative), "RELATIVE"),
}
"""Words with a dot before them."""

UNKNOWN = ("WORD", "METHOD", "LABEL")
"""The terminals of words that no table knows: no rule accepts them."""
COMPARISONS = {"SYMBOL", "RELATION", "EXISTENCE", "MATCH", "AFFIX", "DATED", "RELATIVE"}
_REDUCERS = {"COUNT", "FIELD_REDUCER", "EXTREME", "MODE", "UNIQUE"}
_FILTERS = {"WHERE", "SOURCES", "WITHIN", "BETWEEN", "EXPIRES_AFTER"}
OF_STREAMS = _REDUCERS | _FILTERS
_FIELDS = {"TRAIT", "CONTEXT", "PROPERTY"}
PHRASES: tuple[tuple[set[str], set[str], str], ...] = (
    (
        {"PREFIX", "TRAIT"},
        {"PREFIX", "_LPAR", "EVENT", "ENTITY", "AUDIENCE", *_FIELDS},
        "a condition such as event('…').count() >= 1 or trait('…') = '…'",
    ),
    (
        {"NUMBER", "STRING", "DATE"},
        {"NUMBER", "STRING", "DATE", "BOOLEAN", "_LITERAL", "EVENT", "ENTITY", *_FIELDS},
        "a value: a number, a text in quotes or a date",
    ),
    (COMPARISONS, COMPARISONS, "a comparison such as >= 1, = '…' or .exists()"),
    (_REDUCERS, _REDUCERS, "a reducer such as .count() or .sum(property('…'))"),
    ({"WHERE", "WITHIN"}, _FILTERS, "a filter such as .where(…) or .within(30 days)"),
    (_FIELDS, _FIELDS, "property('…') or context('…')"),
)
"""What an error says for several terminals: where all of the first may follow, one phrase for all of the second."""
NAMES = {
    "$END": "the end of the definition",
    "_AND": "AND",
    "_OR": "OR",
    "_LPAR": "(",
    "_RPAR": ")",
    "_LBRACE": "{",
    "_RBRACE": "}",
    "_COMMA": "a comma",
    "STRING": "a text in quotes",
    "NUMBER": "a number",
    "DATE": "a date",
    "BOOLEAN": "true or false",
    "TYPE": "number, string or array",
    "UNIT": "hours or days",
    "PARENT": "parent:",
    "_EXCLUDE": "exclude:",
    "_AS": "as",
    "COUNT": ".count()",
    "_LITERAL": "literal(…)",
}
"""What an error says for one terminal."""


class WordsToTerminals:
    """Gives each word the terminal that the tables name; a word they do not know stays what no rule accepts."""

    always_accept = UNKNOWN

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The tokens with their terminals (lark's hook between lexer and parser)."""
        for token in stream:
            terminal = terminal_of(token.type, token.value)
            yield token if terminal == token.type else token.update(type=terminal)


def terminal_of(kind: str, text: str) -> str:
    """The terminal of a token as the lexer made it; its own kind where no word is known."""
    if kind == "WORD":
        return KEYWORDS.get(text.upper()) or WORDS.get(text, kind)
    if kind == "METHOD":
        return METHODS.get(text[1:].strip(), kind)
    if kind == "LABEL":
        return LABELS.get(text[:-1].strip(), kind)
    return kind


@cache
def parser() -> Lark:
    """The parser, made at the first use: a definition is read seldom, and making it takes a tenth of a second."""
    from lark import Lark

    return Lark(GRAMMAR, start="definition", parser="lalr", lexer="basic", postlex=WordsToTerminals())
