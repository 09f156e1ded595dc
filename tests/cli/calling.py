"""Calling `segue`: inside this process, which is quick, or as one of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from segue.cli import segue as command
from segue.core.errors import SegueError

from ..instance.running import environment

HERE = [sys.executable, "-m", "segue.cli"]


class Said:
    """What a call printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err
        assert "Traceback" not in out + err, self

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.err}"

    @property
    def json(self) -> Any:
        """The one JSON value that it printed."""
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """The one line of an error."""
        assert (self.code, self.out) == (1, ""), self
        (line,) = self.err.splitlines()
        assert line.startswith("Error: "), self
        return line.removeprefix("Error: ")


def segue(*arguments: object, stdin: str | bytes = "", **environ: str) -> Said:
    """`segue ARGUMENTS` in this process."""
    cleared = dict.fromkeys(name for name in os.environ if name.startswith("SEGUE_"))
    mask = os.umask(0o077)  # as `main` sets it
    try:
        words = [str(each) for each in arguments]
        done = CliRunner().invoke(command, words, stdin, {**cleared, **environ}, prog_name="segue")
    finally:
        os.umask(mask)
    if done.exception is not None and not isinstance(done.exception, SystemExit | SegueError):
        raise done.exception
    return Said(done.exit_code, done.stdout, done.stderr)


def succeeded(*arguments: object, stdin: str | bytes = "", **environ: str) -> Said:
    """The same, which must go well and complain of nothing."""
    said = segue(*arguments, stdin=stdin, **environ)
    assert (said.code, said.err) == (0, ""), said
    return said


class Running:
    """`segue ARGUMENTS` as a process in a session of its own, with a pipe for each stream."""

    def __init__(self, arguments: tuple[object, ...], cwd: Path | None, environ: dict[str, str], stdin: int) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*HERE, *map(str, arguments)], stdin=stdin, stdout=pipe, stderr=pipe, text=True, errors="replace",
            env=environment(**environ), start_new_session=True, cwd=cwd,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.stdout = self.process.stdout
        self._read = ""

    def line(self) -> str:
        """The next line that it prints."""
        line = self.stdout.readline()
        assert line, self.ended()
        self._read += line
        return line

    def until(self, words: str) -> str:
        """All that it has printed when a line holds these words."""
        while words not in self._read:
            self.line()
        return self._read

    def interrupted(self) -> Said:
        """Ctrl-C, which goes to the whole group; then as `ended`."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.ended()

    def ended(self) -> Said:
        """Wait for its end; what it has said in all."""
        if self.stdout.closed:
            self.process.stdout = None
        out, err = self.process.communicate(timeout=40)
        return Said(self.process.returncode, self._read + (out or ""), err)


@contextmanager
def begun(
    *arguments: object, cwd: Path | None = None, stdin: int = subprocess.DEVNULL, **environ: str
) -> Iterator[Running]:
    """`segue ARGUMENTS`, under way for the block."""
    running = Running(arguments, cwd, environ, stdin)
    with running.process:
        try:
            yield running
        finally:
            running.process.kill()


def process(*arguments: object, cwd: Path | None = None, **environ: str) -> Said:
    """`segue ARGUMENTS` as a process of its own, to its end."""
    with begun(*arguments, cwd=cwd, **environ) as running:
        return running.ended()


def hint_in(text: str, word: str) -> str:
    """The command line to be pasted that begins with `... segue WORD`, between backticks or after a colon."""
    found = re.search(rf"(?:`|: {{1,2}})((?:\S+/)?\S+(?: -m segue\.cli)? {word} [^`\n]*)", text)
    assert found is not None, text
    return found[1]
