"""A consistent copy of a log's folder, made beside a running writer.

Rule: the copy is an unbroken run of segments whose last one is of one moment; index files are copied where they can
be, for they can be made again.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from segue.core.errors import Invalid, Unavailable
from segue.log.message_index import index_path, list_indexes
from segue.log.segment import connect, list_segments, named_errors, open_to_read, segment_path, sync

_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)


def copy_log(source: Path, target: Path) -> None:
    """Copy the segments that stand at this moment. Raises Invalid where `target` is not empty, Unavailable, Damaged."""
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise Invalid(f"a backup of the event log needs an empty folder; {target} holds something")
    try:
        firsts = list_segments(source)
        copied: list[int] = []
        for first in firsts:
            try:
                _copy_segment(source, target, first, newest=first == firsts[-1])
            except FileNotFoundError:
                # Retention took it, and so everything before it.
                for older in copied:
                    segment_path(target, older).unlink()
                copied.clear()
                continue
            copied.append(first)
        for start, end in list_indexes(source) if firsts else ():
            _unless_gone(link_or_copy, index_path(source, start, end), index_path(target, start, end))
        sync(target)
    except OSError as error:
        raise Unavailable(f"the event log could not be copied to {target}: {error}") from error


def _copy_segment(source: Path, target: Path, first: int, *, newest: bool) -> None:
    path, copy = segment_path(source, first), segment_path(target, first)
    connection, sealed = open_to_read(path, newest=newest)
    try:
        if sealed:
            link_or_copy(path, copy)
            return
        with named_errors(path):
            written = connect(copy, "mode=rwc")
            try:
                connection.backup(written)
                written.execute(f"PRAGMA journal_mode = {'WAL' if newest else 'DELETE'}")
            finally:
                written.close()
    finally:
        connection.close()


def link_or_copy(path: Path, copy: Path) -> None:
    """A second name for a file that never changes; across file systems, its content."""
    try:
        os.link(path, copy)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copyfile(path, copy)
        with copy.open("rb") as file:
            os.fsync(file.fileno())


def _unless_gone(act: Callable[[Path, Path], None], path: Path, copy: Path) -> None:
    try:
        act(path, copy)
    except FileNotFoundError:
        pass  # merged or dropped meanwhile
