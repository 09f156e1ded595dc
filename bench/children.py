"""The processes of a benchmark: Segue's own roles as its supervisor starts them, and our own around them.

Rule: each process is started on the core that is its own and ended with the block that started it.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

import msgspec

from bench.bare_client import BareResult, BareSpec
from bench.events import SOURCE, WRITE_KEY
from bench.load import LoadResult, LoadSpec
from bench.machine import LOAD_CORE, SERVER_CORE, on_core
from segue.wiring.instance import Address, Instance
from segue.wiring.options import Options, Pipes, Word

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 15.0
HEAR_SECONDS = 120.0
Result = TypeVar("Result", LoadResult, BareResult)


class Failed(Exception):  # noqa: N818 - said of the run
    """A process did not do what the benchmark needs of it."""


class Speaker:
    """A process of ours that answers a line with a line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.port: int = self.hear()["port"]

    def hear(self) -> dict[str, Any]:
        """Its next line. Raises Failed where it ends instead, or says none."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], HEAR_SECONDS)[0]:
            raise Failed(f"process {self.process.pid} said nothing for {HEAR_SECONDS:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"process {self.process.pid} ended")
        answer: dict[str, Any] = msgspec.json.decode(line)
        return answer

    def ask(self, line: str) -> dict[str, Any]:
        """Say a line, hear a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self.hear()


class Role:
    """One of Segue's processes. `wake` is the write end of its pipe, for the worker."""

    def __init__(self, process: subprocess.Popen[bytes], word: Word, wake: int) -> None:
        self.process = process
        self.port = int(word.url.rpartition(":")[2] or 0)
        self._wake = wake

    def wake(self) -> None:
        """Tell the worker that the log has grown."""
        os.write(self._wake, b"e")


@contextmanager
def speaker(module: str, *arguments: str, core: set[int] = LOAD_CORE) -> Iterator[Speaker]:
    """A process of ours, until the end of the block."""
    with on_core(core):
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment(),
        )
    try:
        yield Speaker(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        end(process)
        process.stdout.close()


@contextmanager
def role(name: str, data: Path, *, workspace: Path | None = None, sink: int | None = None) -> Iterator[Role]:
    """The collector or the worker of an instance, alone, on the server's core."""
    life_read, life_write = os.pipe()
    word_read, word_write = os.pipe()
    wake_read, wake_write = os.pipe()
    for descriptor in (wake_read, wake_write):
        os.set_blocking(descriptor, False)
    Instance(data).create()
    options = Options(data=str(data), port=0, workspace=None if workspace is None else str(workspace))
    pipes = Pipes(life=life_read, word=word_write, wake=wake_write if name == "collector" else wake_read)
    with on_core(SERVER_CORE):
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "segue.wiring.child",
                name,
                *(msgspec.json.encode(s).decode() for s in (options, pipes)),
            ],
            pass_fds=(life_read, word_write, wake_read, wake_write),
            env=environment(sink),
        )
    os.close(life_read)
    os.close(word_write)
    stop = Event()
    drain = Thread(target=_drain, args=(wake_read, stop))
    try:
        with os.fdopen(word_read, "rb") as pipe:
            line = pipe.readline()
        word = msgspec.json.decode(line, type=Word) if line else Word(error="no word came")
        if word.error:
            raise Failed(f"the {name}: {word.error}")
        if name == "collector":
            drain.start()
        yield Role(process, word, wake_write)
    finally:
        process.terminate()
        end(process)
        stop.set()
        if drain.ident is not None:
            drain.join()
        for descriptor in (life_write, wake_read, wake_write):
            os.close(descriptor)


def _drain(descriptor: int, stop: Event) -> None:
    """Take the collector's wake-ups as a busy worker would: many at once."""
    while not stop.wait(0.02):
        with suppress(BlockingIOError):
            os.read(descriptor, 65_536)


class Running:
    """A whole instance."""

    def __init__(self, process: subprocess.Popen[bytes], address: Address, ready_seconds: float) -> None:
        self.process = process
        self.port = int(address.url.rpartition(":")[2])
        self.ready_seconds = ready_seconds


@contextmanager
def instance(data: Path, *, workspace: Path, sink: int | None = None) -> Iterator[Running]:
    """`segue up` without sandboxes, on the server's core, ready."""
    begun = time.monotonic()
    with on_core(SERVER_CORE):
        process = subprocess.Popen(
            [sys.executable, "-m", "segue.cli", "up", "--data", data, "--port", "0", "--workspace", workspace],
            stdout=subprocess.PIPE,
            env=environment(sink),
        )
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise Failed("`segue up` ended before it was ready")
        ready_seconds = time.monotonic() - begun
        address = Instance(data).last_address()
        assert address is not None
        yield Running(process, address, ready_seconds)
    finally:
        process.terminate()
        end(process)
        assert process.stdout is not None
        process.stdout.close()


def end(process: subprocess.Popen[bytes]) -> None:
    """Wait for its end; kill it where that takes too long."""
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def load(spec: LoadSpec) -> LoadResult:
    """Run one load to its end. Raises Failed where a request was not answered 200."""
    result = _run("bench.load", spec, LoadResult)
    if result.errors:
        raise Failed(f"{result.errors} of {result.sent_in_all} requests were not answered 200")
    return result


def bare_client(spec: BareSpec) -> BareResult:
    """Post so many bodies without Segue, from the server's core."""
    return _run("bench.bare_client", spec, BareResult, core=SERVER_CORE)


def _run(module: str, spec: object, kind: type[Result], *, core: set[int] = LOAD_CORE) -> Result:
    with on_core(core):
        process = subprocess.Popen(
            [sys.executable, "-m", module, msgspec.json.encode(spec).decode()],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment(),
        )
    try:
        line, _ = process.communicate()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        raise Failed(f"{module} ended with code {process.returncode}")
    return msgspec.json.decode(line, type=kind)


def environment(sink: int | None = None) -> dict[str, str]:
    """Ours without any setting of Segue, but rate limits set high and the sink allowed."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    found["SEGUE_COLLECT_REQUESTS_PER_SECOND"] = "1e9"
    if sink is not None:
        found["SEGUE_ALLOW_INTERNAL"] = f"127.0.0.1:{sink}"
    return found


def write_workspace(folder: Path, *, destinations: Sequence[str] = ()) -> Path:
    """A workspace file with one source, and a webhook for each address."""
    lines = [
        "workspace: {name: Bench, slug: bench}",
        "sources:",
        f"  - {{slug: {SOURCE}, name: {SOURCE}, write_keys: [{WRITE_KEY}]}}",
        "destinations:" if destinations else "destinations: []",
    ]
    for number, url in enumerate(destinations):
        settings = f'{{hooks: ["{url}"]}}'
        lines.append(
            f"  - {{slug: hook-{number}, source: {SOURCE}, kind: webhook, name: hook-{number}, enabled: true, "
            f"settings: {settings}}}"
        )
    path = folder / "workspace.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path
