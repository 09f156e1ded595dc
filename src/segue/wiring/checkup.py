"""The checks of `segue doctor`.

Rule: each finding says what was looked at, and where it is bad, what to do; a check that fails stops no other. What a
running server knows of itself it is asked, for its environment may not be ours.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct

from segue.control.destinations import open_settings
from segue.control.units import counted, size_bytes, size_text
from segue.core.errors import SegueError
from segue.settings import Settings
from segue.wiring.clock import clock_of
from segue.wiring.hints import pasteable
from segue.wiring.instance import Instance
from segue.wiring.texts import space_trouble, trouble
from segue.wiring.views import Views, open_views, secrets_of

ANSWER_WITHIN_S = 5.0


class Finding(Struct, frozen=True):
    """What a check found."""

    well: bool
    text: str


def checkup(instance: Instance, settings: Settings) -> list[Finding]:
    """Look at everything that can be looked at from outside."""
    findings = [*_folder(instance, settings)]
    if not instance.control.exists():
        start = pasteable("up", folder=instance.folder)
        return [*findings, Finding(False, f"there is no Segue in {instance.folder}; start one with `{start}`")]
    findings += _guarded(partial(_running, instance))
    try:
        with open_views(instance, clock_of(instance)) as views:
            for check in (_log, _destinations, _spaces):
                findings += _guarded(partial(check, views, settings))
    except (SegueError, sqlite3.Error) as error:
        findings.append(Finding(False, str(error)))
    return findings


def _guarded(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except (SegueError, OSError, sqlite3.Error) as error:
        return [Finding(False, str(error))]


def _folder(instance: Instance, settings: Settings) -> Iterator[Finding]:
    folder = instance.folder
    if not folder.exists():
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    private = f"{folder} is open to its owner alone"
    if mode & 0o077:
        yield Finding(False, f"{folder} is open to others (mode {mode:o}), and it holds secrets: chmod 700 {folder}")
    else:
        yield Finding(True, private)
    yield room(instance, settings)


def room(instance: Instance, settings: Settings) -> Finding:
    """Whether there is room for events, by the floor of the running server or, where none runs, of `settings`."""
    in_effect = instance.settings_in_effect()
    floor = settings.disk.floor_bytes if in_effect is None else size_bytes(in_effect["disk.floor"], "disk.floor")
    free = shutil.disk_usage(instance.folder).free
    words = f"{free // 1024**2:,} MB are free, disk.floor is {size_text(floor)}"
    return Finding(
        free >= floor, words if free >= floor else f"{words}: every event is answered 503 until there is more room"
    )


def _running(instance: Instance) -> Iterator[Finding]:
    if not instance.is_held("supervisor"):
        yield Finding(False, f"no Segue runs here now; start it with `{instance.start_line()}`")
        return
    for role in ("collector", "worker"):
        held = instance.is_held(role)
        yield Finding(held, f"the {role} runs" if held else f"the {role} does not run: read the server's last lines")
    url = instance.address().url
    reasons = _not_ready_for(url)
    if reasons:
        yield Finding(False, f"{url} takes no events now: {'; '.join(reasons)}")
    else:
        yield Finding(True, f"{url} takes events")


def _not_ready_for(url: str) -> list[str]:
    """Why the collector is not ready, in its own words; nothing where it is."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"{url}/readyz", timeout=ANSWER_WITHIN_S).close()
    except urllib.error.HTTPError as error:
        with error:
            return [str(reason) for reason in json.load(error)["reasons"]]
    except OSError as error:
        return [f"it gave no answer ({error})"]
    return []


def _log(views: Views, _settings: Settings) -> Iterator[Finding]:
    ends = views.log.ends()
    start = views.log.start(0)
    if ends.offset > start:
        views.log.read(0, ends.offset - 1, 1)
    yield Finding(True, f"the log holds {counted(ends.offset - start, 'event')}, offsets {start} to {ends.offset}")


def _destinations(views: Views, settings: Settings) -> Iterator[Finding]:
    instance = views.instance
    paste = partial(pasteable, folder=instance.folder)
    secrets, running = secrets_of(instance, settings), instance.is_held("supervisor")
    shown = {entry["slug"]: entry for entry in views.status()["destinations"]}
    for row in views.control.snapshot().destinations:
        entry = shown[row.slug]
        found = list(trouble(entry, paste))
        if not found and not running:
            try:
                open_settings(row, secrets, os.environ)
            except SegueError as error:
                found = [f"{row.slug} would stand still: {error}"]
        if found:
            yield from (Finding(False, line) for line in found)
        else:
            off = "" if row.enabled else " (switched off)"
            yield Finding(True, f"{row.slug}{off}: lag {entry['lag']}, retrying {entry['retrying']}")


def _spaces(views: Views, _settings: Settings) -> Iterator[Finding]:
    for entry in views.status()["spaces"]:
        found = list(space_trouble(entry))
        yield from (Finding(False, line) for line in found)
        if not found:
            people = f"{counted(entry['users'], 'user')}, {counted(entry['accounts'], 'account')}"
            yield Finding(True, f"{entry['slug']}: {people}, lag {entry['lag']}")
