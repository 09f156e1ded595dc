"""A destination's settings in three forms: as a file says them, as they are stored, as a flow gets them.

Rule: a secret is a `Secret` from the moment it is read, so that no repr, error or export can show it; a
reference `${NAME}` stays one until it is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from segue.control.secrets import Secrets
from segue.core.destination import Place
from segue.core.errors import Invalid

_DOLLAR = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")
"""`$${` is a literal `${`; `${NAME}` a reference; any other `${` a mistake."""

SECRET, VARIABLE, TEMPLATE = "$secret", "$env", "$text"
"""The only key of an object that is stored for a value that is no plain JSON."""

SET_BEFORE_START = "it must be in the environment of `segue up`, which reads it when it starts"
"""What to do about a variable that is missing."""

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


def read_value(raw: object, *, secrets: Iterable[Place] = (), field: str) -> Value:
    """A value as a file or an API call gives it, with a `Secret` or `Kept` at each of these places.

    Raises Invalid naming the field, never its value.
    """
    return _at_places(_interpreted(raw, field, DEPTH_MAX), secrets, _as_secret)


def secrets_in(value: Value, places: Iterable[Place]) -> list[Value]:
    """What stands at these places of the value."""
    found: list[Value] = []

    def note(secret: Value) -> Value:
        found.append(secret)
        return secret

    _at_places(value, places, note)
    return found


def with_kept(value: Value, stored: Value, field: str) -> Value:
    """The value with each `Kept` replaced by what is stored in its place; `stored` is None where nothing is.

    An entry of a list is the stored one that says the same apart from its secrets, wherever that stands: a secret never
    comes to belong to another address. Raises Invalid where there is none.
    """
    match value:
        case Kept():
            if stored is None:
                raise Invalid(
                    "{kept: true} stands for a stored secret, and none is stored; give the secret", field=field
                )
            return stored
        case dict():
            known = stored if isinstance(stored, dict) else {}
            return {key: with_kept(item, known.get(key), f"{field}.{key}") for key, item in value.items()}
        case list():
            left = list(stored) if isinstance(stored, list) else []
            merged = []
            for place, item in enumerate(value):
                known_at = next((at for at, each in enumerate(left) if _same_but_secrets(item, each)), None)
                known_item = None if known_at is None else left.pop(known_at)
                merged.append(with_kept(item, known_item, f"{field}[{place}]"))
            return merged
        case _:
            return value


def printed_value(value: Value, secret: str | None = None) -> Any:
    """The value as `export` prints it: `read_value` of it gives an equal value, or `Kept` for a secret.

    `secret` is a text to stand in a secret's place instead of `{kept: true}`.
    """
    match value:
        case Secret() | Unreadable() | Kept():
            return {"kept": True} if secret is None else secret
        case Reference(template):
            return template
        case str():
            return value.replace("${", "$${")
        case list():
            return [printed_value(item, secret) for item in value]
        case dict():
            return {key: printed_value(item, secret) for key, item in value.items()}
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
            former = stored if isinstance(stored, list) else []
            padded = [*former, *[None] * len(value)]
            return [sealed_value(item, secrets, known) for item, known in zip(value, padded, strict=False)]
        case dict():
            known = stored if isinstance(stored, dict) else {}
            return {key: sealed_value(item, secrets, known.get(key)) for key, item in value.items()}
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
        case Reference():
            return any(name not in environ for name in variables_of(value))
        case list():
            return any(is_open(item, environ) for item in value)
        case dict():
            return any(is_open(item, environ) for item in value.values())
        case _:
            return False


def variables_of(value: Value) -> Iterator[str]:
    """The name of every variable that the value is made from."""
    match value:
        case Secret(inner):
            yield from variables_of(inner)
        case Reference(template):
            yield from (found[1] for found in _DOLLAR.finditer(template) if found[1])
        case list():
            for item in value:
                yield from variables_of(item)
        case dict():
            for item in value.values():
                yield from variables_of(item)


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


def _at_places(value: Value, places: Iterable[Place], change: Callable[[Value], Value]) -> Value:
    """The value with what stands at these places changed."""
    wanted = list(places)
    if () in wanted:
        return change(value)
    if isinstance(value, dict):
        return {key: _at_places(item, _below(wanted, key), change) for key, item in value.items()}
    if isinstance(value, list):
        return [_at_places(item, _below(wanted, "*"), change) for item in value]
    return value


def _below(places: Iterable[Place], name: str) -> list[Place]:
    return [place[1:] for place in places if place[0] in (name, "*")]


def _as_secret(value: Value) -> Value:
    if value == {"kept": True}:
        return Kept()
    # A secret that is nothing but a reference holds no secret: it may be seen.
    return value if value is None or (isinstance(value, Reference) and _variable(value)) else Secret(value)


def _same_but_secrets(value: Value, stored: Value) -> bool:
    match value, stored:
        case Kept() | Secret(), _:
            return True
        case dict(), dict():
            return value.keys() == stored.keys() and all(_same_but_secrets(value[key], stored[key]) for key in value)
        case list(), list():
            return len(value) == len(stored) and all(map(_same_but_secrets, value, stored))
        case _:
            return value == stored and type(value) is type(stored)


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
            raise Invalid(f"the environment variable {name} is not set; {SET_BEFORE_START}", field=field)
        return environ[name]

    return _DOLLAR.sub(value, template)
