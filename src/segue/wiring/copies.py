"""Backup and restore: a consistent copy of an instance, made while it runs.

Rule: the state is copied before the log, so that in the copy no cursor stands beyond the log's end; what happened
between the two is delivered again by the restored instance, with the same messageIds. Profiles are copied before the
lake, which then lacks nothing that they no longer keep for it; what it has beyond them they will find again.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from segue.core.errors import Invalid, Unavailable
from segue.lake.manifest import MANIFEST
from segue.log.backup import link_or_copy
from segue.log.segment import sync
from segue.wiring.instance import BACKUP_MARK, Instance
from segue.wiring.views import Views

DATABASES = ("state.db", "control.db", "quarantine.db")
LAKE_TRIES = 10


def back_up(views: Views, folder: Path) -> int:
    """Copy the instance to a new or empty folder; gives the offset up to which it goes.

    Raises Invalid where the folder holds something, Unavailable where it cannot be written.
    """
    _make_empty(folder)
    source = views.instance
    try:
        for name in DATABASES:
            _copy_database(source.folder / name, folder / name)
        for path in sorted(source.spaces.glob("*/profiles.db")):
            copy = folder / path.relative_to(source.folder)
            copy.parent.mkdir(mode=0o700, parents=True)
            _copy_database(path, copy)
        for path in sorted(source.spaces.glob(f"*/*/{MANIFEST}")):
            _copy_lake(path.parent, folder / path.parent.relative_to(source.folder))
        end = views.log.backup_to(folder / "log").offset
        for path in (source.secret_key, source.last):
            if path.exists():
                shutil.copy2(path, folder / path.name)
        done = folder / BACKUP_MARK
        done.write_text(f'{{"end": {end}}}\n')
        sync(done)
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(f"{folder} cannot be written: {error}") from None
    return end


def bring_back(folder: Path, instance: Instance) -> None:
    """Make an instance of a backup. Raises Invalid where the one is not whole or the other not empty."""
    if not (folder / BACKUP_MARK).exists():
        raise Invalid(
            f"{folder} is no whole backup: {BACKUP_MARK}, which is written last, is not there", field="FOLDER"
        )
    if instance.control.exists() or instance.log.exists():
        raise Invalid(f"{instance.folder} holds an instance already; choose another folder", field="--data")
    instance.create()
    lock = instance.hold("supervisor", wait_s=0)
    try:
        shutil.copytree(folder / "log", instance.log)
        if (folder / instance.spaces.name).exists():
            shutil.copytree(folder / instance.spaces.name, instance.spaces)
        for name in (*DATABASES[:1], *DATABASES[2:], instance.secret_key.name, instance.last.name):
            if (folder / name).exists():
                shutil.copy2(folder / name, instance.folder / name)
        # Last, for its presence says that there is an instance.
        shutil.copy2(folder / "control.db", instance.control)
    except OSError as error:
        raise Unavailable(f"{instance.folder} cannot be written: {error}") from None
    finally:
        os.close(lock)


def _make_empty(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Invalid(f"{folder} is not empty; choose a new folder", field="FOLDER")
    except OSError as error:
        raise Invalid(f"{folder} cannot be made: {error.strerror}", field="FOLDER") from None


def _copy_database(source: Path, target: Path) -> None:
    """A copy as of one moment, whoever writes meanwhile."""
    reading = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    with closing(reading), closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)
    target.chmod(0o600)
    sync(target)


def _copy_lake(source: Path, target: Path) -> None:
    """A lake as of one moment. Its files never change; one that is replaced meanwhile makes it begin anew."""
    target.mkdir(mode=0o700, parents=True)
    for _ in range(LAKE_TRIES):
        _copy_database(source / MANIFEST, target / MANIFEST)
        with closing(sqlite3.connect(target / MANIFEST)) as manifest:
            paths = [path for (path,) in manifest.execute("SELECT path FROM file")]
        try:
            for path in paths:
                if not (target / path).exists():
                    (target / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    link_or_copy(source / path, target / path)
        except FileNotFoundError:
            continue
        return
    raise Unavailable(f"the files of {source} change faster than they can be copied")
