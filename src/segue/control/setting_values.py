"""A destination's settings in three forms: as a file says them, as they are stored, as a flow gets them.

Rule: a secret is a `Secret` from the moment it is read, so that no repr, error or export can show it; a
reference `${NAME}` stays one until it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from segue.control.secrets import Secrets
from segue.core.errors import Invalid

_DOLLAR = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")
"""`$${` is a literal `${`; `${NAME}` a reference; any other `${` a mistake."""

SECRET, VARIABLE, TEMPLATE = "$secret", "$env", "$text"
"""The only key of an object that is stored for a value that is no plain JSON."""

DEPTH_MAX = 8
INTEGER_MAX = 2**63 - 1


class Reference(Struct, frozen=True):
    """A text with at least one `${NAME}`, as it was written."""

    template: str


class Kept(Struct, frozen=True):
    """`{kept: true}`: leave the secret that is stored."""


class Unreadable(Struct, frozen=True):
    """A stored secret that none of this instance's keys decrypts. It equals only its own stored text."""

    token: str


class Secret(Struct, frozen=True):
    """A secret value: a plain one or, where part of it is a reference, what it is made from."""

    value: Value

    def __repr__(self) -> str:
        return "Secret(***)"


Special: TypeAlias = Reference | Kept | Secret | Unreadable
Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | Special | None"


def read_value(raw: object, *, secret: bool, field: str) -> Value:
    """A value as a file or an API call gives it. Raises Invalid naming the field, never its value."""
    if secret:
        if raw == {"kept": True}:
            return Kept()
        value = _interpreted(raw, field, DEPTH_MAX)
        # A secret that is nothing but a reference holds no secret: it may be seen.
        return value if value is None or (isinstance(value, Reference) and _variable(value)) else Secret(value)
    return _interpreted(raw, field, DEPTH_MAX)


def printed_value(value: Value) -> Any:
    """The value as `export` prints it: `read_value` of it gives an equal value, or `Kept` for a secret."""
    match value:
        case Secret() | Unreadable() | Kept():
            return {"kept": True}
        case Reference(template):
            return template
        case str():
            return value.replace("${", "$${")
        case list():
            return [printed_value(item) for item in value]
        case dict():
            return {key: printed_value(item) for key, item in value.items()}
        case _:
            return value


def sealed_value(value: Value, secrets: Secrets, stored: object = None) -> Any:
    """The value as it is stored. A secret equal to the one in `stored` keeps its encrypted text."""
    match value:
        case Secret(inner):
            if stored is not None and unsealed_value(stored, secrets) == value:
                return stored
            return {SECRET: secrets.encrypt(msgspec.json.encode(sealed_value(inner, secrets)))}
        case Unreadable(token):
            return {SECRET: token}
        case Reference(template):
            name = _variable(value)
            return {VARIABLE: name} if name else {TEMPLATE: template}
        case list():
            return [sealed_value(item, secrets) for item in value]
        case dict():
            return {key: sealed_value(item, secrets) for key, item in value.items()}
        case Kept():
            raise AssertionError("a kept secret is replaced by the stored one before sealing")
        case _:
            return value


def unsealed_value(stored: object, secrets: Secrets | None) -> Value:
    """What was stored, with its secrets decrypted; without `secrets` they stay `Unreadable`."""
    match stored:
        case {"$secret": str(token)}:
            plain = secrets.decrypt(token) if secrets else None
            return Unreadable(token) if plain is None else Secret(unsealed_value(msgspec.json.decode(plain), secrets))
        case {"$env": str(name)}:
            return Reference("${" + name + "}")
        case {"$text": str(template)}:
            return Reference(template)
        case list():
            return [unsealed_value(item, secrets) for item in stored]
        case dict():
            return {key: unsealed_value(item, secrets) for key, item in stored.items()}
        case None | bool() | int() | float() | str():
            return stored
        case _:
            raise AssertionError("stored settings are JSON")


def resolved_value(value: Value, environ: Mapping[str, str], field: str) -> Any:
    """The value that a flow gets. Raises Invalid where a variable is not set or a secret cannot be read."""
    match value:
        case Secret(inner):
            return resolved_value(inner, environ, field)
        case Reference(template):
            return _filled(template, environ, field)
        case list():
            return [resolved_value(item, environ, field) for item in value]
        case dict():
            return {key: resolved_value(item, environ, field) for key, item in value.items()}
        case Unreadable():
            raise Invalid(
                "the stored secret was encrypted with another key; set SEGUE_SECRET_KEY to that key, or give "
                "the secret again",
                field=field,
            )
        case Kept():
            raise Invalid("{kept: true} stands for a stored secret, and none is stored", field=field)
        case _:
            return value


def is_open(value: Value, environ: Mapping[str, str]) -> bool:
    """Whether the value is only known later: kept, unreadable, or made from a variable that is not set."""
    match value:
        case Kept() | Unreadable():
            return True
        case Secret(inner):
            return is_open(inner, environ)
        case Reference(template):
            return any(found[1] and found[1] not in environ for found in _DOLLAR.finditer(template))
        case list():
            return any(is_open(item, environ) for item in value)
        case dict():
            return any(is_open(item, environ) for item in value.values())
        case _:
            return False


def texts_of(resolved: object) -> Iterator[str]:
    """Every text inside a resolved value: what has to be masked where the value is a secret."""
    if isinstance(resolved, str):
        yield resolved
    elif isinstance(resolved, list):
        for item in resolved:
            yield from texts_of(item)
    elif isinstance(resolved, dict):
        for item in resolved.values():
            yield from texts_of(item)


def _interpreted(raw: object, field: str, depth: int) -> Value:
    if depth == 0:
        raise Invalid(f"is nested deeper than {DEPTH_MAX} levels", field=field)
    match raw:
        case str():
            return _interpreted_text(raw, field)
        case list():
            return [_interpreted(item, field, depth - 1) for item in raw]
        case dict():
            if any(not isinstance(key, str) or key in (SECRET, VARIABLE, TEMPLATE) for key in raw):
                raise Invalid(f"a name must be a text, and none of {SECRET}, {VARIABLE}, {TEMPLATE}", field=field)
            return {key: _interpreted(item, field, depth - 1) for key, item in raw.items()}
        case int() if abs(raw) > INTEGER_MAX:
            raise Invalid(f"a whole number may not be above {INTEGER_MAX}", field=field)
        case None | bool() | int() | float():
            return raw
        case _:
            raise Invalid("must be a text, a number, true, false, a list or a map", field=field)


def _interpreted_text(raw: str, field: str) -> str | Reference:
    if any("\ud800" <= character <= "\udfff" for character in raw):
        raise Invalid("holds half a surrogate pair, which is no character", field=field)
    found = list(_DOLLAR.finditer(raw))
    if any(match[0] == "${" for match in found):
        raise Invalid("write a reference as ${NAME}, and a literal ${ as $${", field=field)
    if any(match[1] for match in found):
        return Reference(raw)
    return raw.replace("$${", "${")


def _variable(reference: Reference) -> str | None:
    whole = _DOLLAR.fullmatch(reference.template)
    return whole[1] if whole else None


def _filled(template: str, environ: Mapping[str, str], field: str) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return "${"
        if name not in environ:
            raise Invalid(f"the environment variable {name} is not set", field=field)
        return environ[name]

    return _DOLLAR.sub(value, template)
