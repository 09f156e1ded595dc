"""The checks of `segue doctor`.

Rule: each finding says what was looked at, and where it is bad, what to do; a check that fails stops no other.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct

from segue.control.destinations import open_settings
from segue.control.units import size_text
from segue.core.errors import SegueError
from segue.settings import Settings
from segue.wiring.clock import SystemClock
from segue.wiring.instance import Instance
from segue.wiring.views import Views, open_views, secrets_of


class Finding(Struct, frozen=True):
    """What a check found."""

    well: bool
    text: str


def checkup(instance: Instance, settings: Settings) -> list[Finding]:
    """Look at everything that can be looked at from outside."""
    findings = [*_folder(instance, settings)]
    if not instance.control.exists():
        return [*findings, Finding(False, f"there is no instance in {instance.folder}; start one with `segue up`")]
    findings += _running(instance)
    try:
        with open_views(instance, SystemClock()) as views:
            for check in (_log, _destinations):
                findings += _guarded(partial(check, views, settings))
    except (SegueError, sqlite3.Error) as error:
        findings.append(Finding(False, f"the instance's files cannot be read: {error}"))
    return findings


def _guarded(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except (SegueError, sqlite3.Error) as error:
        return [Finding(False, str(error))]


def _folder(instance: Instance, settings: Settings) -> Iterator[Finding]:
    if not instance.folder.exists():
        return
    mode = stat.S_IMODE(instance.folder.stat().st_mode)
    yield Finding(not mode & 0o077, f"{instance.folder} is open to its owner alone" if not mode & 0o077 else
                  f"{instance.folder} is open to others (mode {mode:o}): chmod 700 {instance.folder}")  # fmt: skip
    free, floor = shutil.disk_usage(instance.folder).free, settings.disk.floor_bytes
    words = f"{free // 1024**2} MB are free, disk.floor is {size_text(floor)}"
    yield Finding(free >= floor, words if free >= floor else f"{words}: events are refused until there is more room")


def _running(instance: Instance) -> Iterator[Finding]:
    if not instance.is_held("supervisor"):
        yield Finding(True, "no Segue runs on this folder now")
        return
    for role in ("collector", "worker"):
        held = instance.is_held(role)
        yield Finding(held, f"the {role} runs" if held else f"the {role} does not run: read the server's last lines")


def _log(views: Views, _settings: Settings) -> Iterator[Finding]:
    ends = views.log.ends()
    start = views.log.start(0)
    if ends.offset > start:
        views.log.read(0, ends.offset - 1, 1)
    yield Finding(True, f"the log holds {ends.offset - start} events, offsets {start} to {ends.offset}")


def _destinations(views: Views, settings: Settings) -> Iterator[Finding]:
    secrets = secrets_of(views.instance, settings)
    shown = {entry["slug"]: entry for entry in views.status()["destinations"]}
    for row in views.control.snapshot().destinations:
        entry = shown[row.slug]
        try:
            open_settings(row, secrets, os.environ)
        except SegueError as error:
            yield Finding(False, f"{row.slug}: {error}")
            continue
        if entry.get("stall"):
            yield Finding(False, f"{row.slug} stands still: {entry['stall']}")
        elif entry["breaker"] != "closed":
            yield Finding(False, f"{row.slug}: {_breaker(entry['breaker_reason'], row.slug)}")
        else:
            off = "" if row.enabled else " (switched off)"
            yield Finding(True, f"{row.slug}{off}: lag {entry['lag']}, retrying {entry['retrying']}")


def _breaker(reason: str | None, slug: str) -> str:
    if reason == "key_refused":
        return f"the vendor refuses the key: correct it with `segue apply`, then `segue redrive {slug}`"
    return f"the vendor fails; Segue tries again by itself. `segue destinations test {slug}` shows its words"
