"""The command line: `segue COMMAND ... --data DIR`.

Rule: a command is thin; what it does stands in `control` or `wiring`, imported only when the command runs. An error
of ours is one line on stderr and exit code 1, wrong usage is 2, Ctrl-C is 130, and none is a traceback.
"""

from __future__ import annotations

import io
import os
import sys

from segue.cli import computations, events, move, profiles, questions, reconcile, run, watch, workspace
from segue.cli.group import INTERRUPTED, segue

__all__ = [
    "computations",
    "events",
    "main",
    "move",
    "profiles",
    "questions",
    "reconcile",
    "run",
    "segue",
    "watch",
    "workspace",
]


def main() -> None:
    """The `segue` command."""
    # What an instance keeps is for its owner alone, whoever of its processes makes the file.
    os.umask(0o077)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without the letters of an event still shows it
    try:
        segue(prog_name="segue", color=False if os.environ.get("NO_COLOR") else None)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
