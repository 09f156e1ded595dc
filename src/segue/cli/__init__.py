"""The command line: `segue COMMAND ... --data DIR`.

Rule: a command is thin; what it does stands in `control` or `wiring`, imported only when the command runs. An error
of ours is one line on stderr and exit code 1, wrong usage is 2, and neither is a traceback.
"""

from __future__ import annotations

import os

from segue.cli import events, move, run, watch, workspace
from segue.cli.group import segue

__all__ = ["events", "main", "move", "run", "segue", "watch", "workspace"]


def main() -> None:
    """The `segue` command."""
    # What an instance keeps is for its owner alone, whoever of its processes makes the file.
    os.umask(0o077)
    segue(prog_name="segue")
