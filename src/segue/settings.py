"""The settings of an instance: one frozen tree, read once from the environment.

Rule: a setting that does not exist or cannot be read stops the start; each part is handed only its own. What a
user decides about sources and destinations is not here but in `segue.control`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from segue.collect.limits import CollectLimits
from segue.control.suggestion import did_you_mean
from segue.control.units import (
    DAY_MS,
    duration_ms,
    duration_text,
    keep_ms,
    offset_ms,
    offset_text,
    size_bytes,
    size_text,
)
from segue.core.errors import Invalid

PREFIX = "SEGUE_"
SANDBOX_PORT = 8100
"""The sandboxes' port under `--demo` where none is given."""

DEDUP_WINDOW_MAX_MS = 30 * DAY_MS

_LIMITS = CollectLimits()

Kind = Literal[
    "duration", "size", "count", "rate", "flag", "port", "choice", "text", "networks", "secret", "offset", "keep"
]


def _meta(kind: Kind, title: str, description: str, *choices: str) -> Meta:
    return Meta(title=title, description=description, extra={"kind": kind, "choices": choices})


class LogSettings(Struct, frozen=True, kw_only=True):
    """The event log."""

    keep_ms: Annotated[
        int,
        _meta(
            "duration",
            "Retention",
            "How long an event stays in the log. It stays longer where an enabled destination has not passed it.",
        ),
    ] = msgspec.field(default=7 * DAY_MS, name="keep")
    drop_unread: Annotated[
        bool,
        _meta(
            "flag",
            "Drop unread events",
            "When the disk is short, drop the oldest events even where a destination has not read them; they "
            "count as refused with LOG_EXPIRED. Off, the collector answers 503 instead.",
        ),
    ] = False


class DedupSettings(Struct, frozen=True, kw_only=True):
    """Deduplication."""

    window_ms: Annotated[
        int,
        _meta(
            "duration",
            "Deduplication window",
            "How long a messageId is remembered for each source: at most 30d, and at most log.keep.",
        ),
    ] = msgspec.field(default=DAY_MS, name="window")


class DiskSettings(Struct, frozen=True, kw_only=True):
    """The disk that holds the data folder."""

    floor_bytes: Annotated[
        int,
        _meta(
            "size",
            "Disk floor",
            "Below this much free space the collector answers 503; below twice as much, events that every "
            "reader has passed are dropped early.",
        ),
    ] = msgspec.field(default=512 * 1024**2, name="floor")


class LakeSettings(Struct, frozen=True, kw_only=True):
    """The event history of spaces."""

    flush_ms: Annotated[
        int,
        _meta(
            "duration",
            "Flush",
            "How long an event may wait before it is in the lake's files, which are the fewer the longer it waits. "
            "What Segue itself reads is always up to date.",
        ),
    ] = msgspec.field(default=60_000, name="flush")
    keep_ms: Annotated[
        int | None,
        _meta(
            "keep",
            "Retention",
            "How long an event counts for profiles' history, audiences and computed traits, from its receipt: at least "
            "1d, or off for ever. The files of a day go when all of it is older.",
        ),
    ] = msgspec.field(default=None, name="keep")


class CollectSettings(Struct, frozen=True, kw_only=True):
    """The collector."""

    requests_per_second: Annotated[
        float,
        _meta(
            "rate",
            "Rate limit",
            "Requests a second for each write key, with a burst of one second's worth; unknown keys share one such "
            "bound. Beyond it the answer is 429.",
        ),
    ] = _LIMITS.requests_per_second
    connections: Annotated[int, _meta("count", "Connections", "Open connections; a further one is answered 503.")] = (
        _LIMITS.connections
    )
    waiting_requests: Annotated[
        int, _meta("count", "Waiting requests", "Requests that wait for a commit; beyond it the answer is 503.")
    ] = _LIMITS.waiting_requests
    memory_bytes: Annotated[
        int,
        _meta(
            "size",
            "Memory for requests",
            "Bodies being received, and again as much for events that wait for a commit; beyond it the answer is 503.",
        ),
    ] = msgspec.field(default=_LIMITS.body_bytes_in_flight, name="memory")

    def limits(self) -> CollectLimits:
        """What the collector is handed: these, and the bounds that no setting changes."""
        return CollectLimits(
            requests_per_second=self.requests_per_second,
            connections=self.connections,
            waiting_requests=self.waiting_requests,
            body_bytes_in_flight=self.memory_bytes,
            waiting_bytes=self.memory_bytes,
        )


class SandboxSettings(Struct, frozen=True, kw_only=True):
    """The sandboxes."""

    port: Annotated[
        int | None,
        _meta(
            "port",
            "Sandbox port",
            f"Run the sandboxes on this port of the loopback address. Unset, they run only with --demo, on "
            f"{SANDBOX_PORT}.",
        ),
    ] = None


class LoggingSettings(Struct, frozen=True, kw_only=True):
    """What Segue says about itself."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        _meta("choice", "Level", "The least important line that is written.", "debug", "info", "warning", "error"),
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "text"],
        _meta("choice", "Format", "auto writes text to a terminal, JSON elsewhere.", "auto", "json", "text"),
    ] = "auto"


class Settings(Struct, frozen=True, kw_only=True):
    """All settings of one instance."""

    data: Annotated[
        str, _meta("text", "Data folder", "Where everything is kept; it must belong to this instance alone.")
    ] = "./.segue"
    host: Annotated[str, _meta("text", "Host", "The address to listen on; 0.0.0.0 for all of IPv4.")] = "127.0.0.1"
    port: Annotated[int, _meta("port", "Port", "The port to listen on.")] = 8000
    workspace: Annotated[
        str | None, _meta("text", "Workspace file", "Applied at the start where it differs from the one applied last.")
    ] = None
    secret_key: Annotated[
        str | None,
        _meta(
            "secret",
            "Secret key",
            "Encrypts stored secrets: 32 random bytes in URL-safe base64; several divided by commas, the first "
            "encrypts. Unset, a key file is made in the data folder.",
        ),
    ] = None
    trusted_proxies: Annotated[
        tuple[str, ...],
        _meta(
            "networks",
            "Trusted proxies",
            "Addresses and networks, divided by commas, whose X-Forwarded-For is believed.",
        ),
    ] = ()
    allow_internal: Annotated[
        str,
        _meta(
            "text",
            "Allowed internal addresses",
            "host:port, addresses and networks that are not public but may be sent to, divided by commas.",
        ),
    ] = ""
    clock_offset_ms: Annotated[
        int,
        _meta(
            "offset",
            "Clock",
            "A testing aid, for a throwaway data folder: moves the clock of the instance, as in offset:+31d.",
        ),
    ] = msgspec.field(default=0, name="clock")
    log: LogSettings = LogSettings()
    dedup: DedupSettings = DedupSettings()
    disk: DiskSettings = DiskSettings()
    lake: LakeSettings = LakeSettings()
    collect: CollectSettings = CollectSettings()
    sandbox: SandboxSettings = SandboxSettings()
    logging: LoggingSettings = LoggingSettings()

    def __repr__(self) -> str:
        return f"Settings(data={self.data!r})"


class SettingDescription(Struct, frozen=True, kw_only=True):
    """One setting for the docs and for `segue settings`. `default` is as one would write it."""

    name: str
    variable: str
    kind: Kind
    title: str
    description: str
    default: str
    choices: tuple[str, ...]
    path: tuple[str, ...]

    def value_in(self, settings: Settings) -> str:
        """The value in effect, as one would write it; a secret is not shown."""
        value: Any = settings
        for name in self.path:
            value = getattr(value, name)
        return _written(self.kind, value)


def describe_settings() -> tuple[SettingDescription, ...]:
    """Every setting, in the order of the tree."""
    return tuple(_described(Settings, "", ()))


def read_settings(environ: Mapping[str, str], overrides: Mapping[str, str] | None = None) -> Settings:
    """The settings that the environment gives; `overrides` (from the command line, by setting name) win.

    An empty text is as good as none, as templates of environments leave it.
    Raises Invalid naming the variable or the setting: unknown, unreadable, or at odds with another.
    """
    known = {description.name: description for description in describe_settings()}
    variables = {description.variable: description for description in known.values()}
    tree: dict[str, Any] = {}
    for variable, text in environ.items():
        if variable.startswith(PREFIX):
            if variable not in variables:
                raise Invalid(
                    f"there is no such setting{did_you_mean(variable, variables, prefix=PREFIX)}", field=variable
                )
            _place(tree, variables[variable], text, variable)
    for name, text in (overrides or {}).items():
        _place(tree, known[name], text, f"--{name.replace('.', '-')}")
    settings = msgspec.convert(tree, Settings)
    _check(settings)
    return settings


def _described(tree: type[Struct], prefix: str, path: tuple[str, ...]) -> Iterator[SettingDescription]:
    for field in msgspec.structs.fields(tree):
        name, inner = prefix + field.encode_name, (*path, field.name)
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from _described(field.type, name + ".", inner)
            continue
        meta = next(item for item in field.type.__metadata__ if isinstance(item, Meta))
        extra = meta.extra or {}
        yield SettingDescription(
            name=name,
            variable=PREFIX + name.replace(".", "_").upper(),
            kind=extra["kind"],
            title=meta.title or "",
            description=meta.description or "",
            default=_written(extra["kind"], field.default),
            choices=extra["choices"],
            path=inner,
        )


def _place(tree: dict[str, Any], description: SettingDescription, text: str, field: str) -> None:
    if not text.strip():
        return
    *groups, name = description.name.split(".")
    for group in groups:
        tree = tree.setdefault(group, {})
    tree[name] = _read(description, text.strip(), field)


def _check(settings: Settings) -> None:
    if settings.dedup.window_ms > DEDUP_WINDOW_MAX_MS:
        raise Invalid("may not be longer than 30d", field="dedup.window (SEGUE_DEDUP_WINDOW)")
    if settings.dedup.window_ms > settings.log.keep_ms:
        window, keep = duration_text(settings.dedup.window_ms), duration_text(settings.log.keep_ms)
        raise Invalid(
            f"{window} is longer than log.keep (SEGUE_LOG_KEEP), {keep}: ids cannot be remembered longer than "
            "their events; make the one shorter or the other longer",
            field="dedup.window (SEGUE_DEDUP_WINDOW)",
        )


_FLAGS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False, "on": True, "off": False}


def _read(description: SettingDescription, text: str, field: str) -> object:
    match description.kind:
        case "duration":
            return duration_ms(text, field)
        case "size":
            return size_bytes(text, field)
        case "offset":
            return offset_ms(text, field)
        case "keep":
            return keep_ms(text, field)
        case "count" | "rate" | "port":
            return _number(description.kind, text, field)
        case "flag":
            if text.lower() not in _FLAGS:
                raise Invalid(f"{text!r} is neither true nor false", field=field)
            return _FLAGS[text.lower()]
        case "choice":
            if text not in description.choices:
                raise Invalid(f"{text!r} is none of {', '.join(description.choices)}", field=field)
            return text
        case "networks":
            return _networks(text, field)
        case "text" | "secret":
            return text


def _number(kind: Kind, text: str, field: str) -> int | float:
    try:
        number = float(text) if kind == "rate" else int(text)
    except ValueError:
        raise Invalid(f"{text!r} is no number", field=field) from None
    least, most = {"port": (0, 65_535), "count": (1, 1_000_000), "rate": (0.001, 1e9)}[kind]
    if not least <= number <= most:
        raise Invalid(f"must be from {least:g} to {most:g}", field=field)
    return number


def _networks(text: str, field: str) -> tuple[str, ...]:
    import ipaddress

    entries = tuple(entry for entry in re.split(r"[\s,]+", text) if entry)
    for entry in entries:
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            raise Invalid(f"{entry!r} is neither an address nor a network", field=field) from None
    return entries


def _written(kind: Kind, value: Any) -> str:
    if value is None:
        return "off" if kind == "keep" else ""
    match kind:
        case "duration" | "keep":
            return duration_text(value)
        case "size":
            return size_text(value)
        case "offset":
            return offset_text(value)
        case "flag":
            return str(value).lower()
        case "rate":
            return f"{value:g}"
        case "networks":
            return ",".join(value)
        case "secret":
            return "(set)"
        case _:
            return str(value)
