"""Command lines that are printed to be pasted: how this `segue` was called, which instance, quoted for a shell.

Rule: what is printed works as it stands, in the folder where it was printed.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def pasteable(*words: str, folder: Path) -> str:
    """`segue WORDS --data FOLDER`, as the one who reads it can call it."""
    return " ".join([_called(), *map(shlex.quote, words), "--data", shlex.quote(str(folder))])


def _called() -> str:
    """How this command was called: `segue` where the shell finds it, else its path or its module."""
    script = Path(sys.argv[0])
    if script.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m segue.cli"
    if script.name != "segue":
        return "segue"  # a process that no one called by hand
    found = shutil.which("segue")
    return "segue" if found is not None and script.resolve() == Path(found).resolve() else shlex.quote(sys.argv[0])
