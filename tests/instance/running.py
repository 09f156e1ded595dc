"""One instance of Segue under test: `segue up` as a child process in a session of its own."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests

from segue.control.poke import poke
from segue.wiring.clock import clock_of
from segue.wiring.instance import Address
from segue.wiring.instance import Instance as Folder
from segue.wiring.views import open_views

from .vendor import Vendor
from .waiting import DEADLINE_S, until

SLUGS = ("plotline", "pointillist", "planhat", "user-com", "astrolabe")
INBOUND = {
    "plotline": "plotline/segment/events",
    "pointillist": "pointillist/event",
    "planhat": "planhat/dock/segment",
    "user-com": "user-com/api/segment/",
    "astrolabe": "astrolabe/connectors/segment",
}


_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def kept_port() -> socket.socket:
    """A port that nobody else gets while the socket is open, though whoever is told it may listen on it."""
    keeper = socket.socket()
    keeper.bind(("127.0.0.1", 0))
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return keeper


def environment(**settings: str) -> dict[str, str]:
    """This process's, without settings of Segue but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    return {**kept, **settings}


def session_of(pid: int) -> int:
    """The session of a process; 0 where there is none, or only its exit code is left."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    state, _parent, _group, session = stat.rpartition(")")[2].split()[:4]
    return 0 if state == "Z" else int(session)


def _end_with_parent() -> None:
    """KILL for a supervisor whose test has been killed, which could not end it; its children follow it."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Instance:
    """Its data folder, its ports (kept while the test lasts) and, while it runs, its processes."""

    def __init__(self, folder: Path, *, workspace: str | None = None, **settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._keepers = (kept_port(), kept_port())
        self.port, self.sandbox_port = (keeper.getsockname()[1] for keeper in self._keepers)
        self.environment = environment(**settings)
        self.file = folder / "workspace.yaml"
        if workspace is not None:
            self.file.write_text(workspace)
        self._output = (folder / "output").open("ab")
        self._errors = (folder / "errors").open("ab")
        self._process: subprocess.Popen[bytes] | None = None
        self._sessions: list[int] = []

    # -- its processes -------------------------------------------------------------------------------------------

    def arguments(self, *more: str) -> list[str]:
        """The command line of `segue up` for this instance."""
        given = ["--workspace", str(self.file)] if self.file.exists() else []
        ports = ["--port", str(self.port), "--sandbox-port", str(self.sandbox_port)]
        return ["up", "--demo", "--data", str(self.data), *ports, *given, *more]

    def launch(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start `segue ARGUMENTS` and do not wait for anything."""
        process = subprocess.Popen(
            [sys.executable, "-m", "segue.cli", *arguments],
            stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._errors,
            env=self.environment, start_new_session=True, preexec_fn=_end_with_parent,
        )  # fmt: skip
        self._process = process
        self._sessions.append(process.pid)
        return process

    def start(self, *more: str, arguments: Sequence[str] | None = None) -> Instance:
        """Start it and wait until it is ready."""
        process = self.launch(arguments or self.arguments(*more))
        until(lambda: process.poll() is not None or self._is_ready(process.pid), "the instance is ready")
        assert process.poll() is None, f"ended with {process.returncode}: {self.said()}"
        return self

    def _is_ready(self, pid: int) -> bool:
        address = Folder(self.data).last_address()
        if address is None or address.pid != pid:
            return False
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{address.url}/readyz", timeout=5).status_code == 200
        return False

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The supervisor, as it was started last."""
        assert self._process is not None
        return self._process

    @property
    def address(self) -> Address:
        """Where it says that it can be reached."""
        address = Folder(self.data).last_address()
        assert address is not None
        return address

    @property
    def url(self) -> str:
        """The collector's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def sandbox_url(self) -> str:
        """The sandboxes' address."""
        return f"http://127.0.0.1:{self.sandbox_port}"

    def pids(self) -> dict[str, int]:
        """The children that live, by role."""
        found: dict[str, int] = {}
        for pid in self._living():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"segue.wiring.child" in words:
                    found[words[words.index(b"segue.wiring.child") + 1].decode()] = pid
        return found

    def _living(self) -> list[int]:
        every = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        return [pid for pid in every if session_of(pid) in self._sessions]

    def kill(self, role: str) -> int:
        """SIGKILL to one child; gives its former id."""
        pid = until(lambda: self.pids().get(role), f"there is a {role}")
        os.kill(pid, signal.SIGKILL)
        until(lambda: not session_of(pid), f"the {role} is dead", 10)
        return pid

    def kill_supervisor(self) -> None:
        """SIGKILL to the supervisor alone, and wait until its children have ended by themselves."""
        self.process.kill()
        self.process.wait()
        until(lambda: not self._living(), "the children end with their supervisor", 15)

    def kill_all(self) -> None:
        """SIGKILL to every process, the supervisor first."""
        self.process.kill()
        for pid in self._living():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        until(lambda: not self._living(), "all are dead", 10)

    def terminate(self) -> int:
        """TERM to the supervisor; its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=30)

    def close(self) -> None:
        """End whatever is left of it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=10)
        if self._process is not None:
            self.kill_all()
        for held in (*self._keepers, self._output, self._errors):
            held.close()

    # -- what it says --------------------------------------------------------------------------------------------

    def said(self) -> str:
        """All that it has printed and logged so far."""
        return (self.folder / "output").read_text() + (self.folder / "errors").read_text()

    def log_lines(self) -> list[dict[str, Any]]:
        """Its log lines."""
        return [json.loads(line) for line in (self.folder / "errors").read_text().splitlines() if line[:1] == "{"]

    def cli(self, *arguments: str) -> str:
        """What `segue ARGUMENTS --data ...` prints."""
        done = subprocess.run(
            [sys.executable, "-m", "segue.cli", *arguments, "--data", str(self.data)],
            capture_output=True, text=True, env=self.environment, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def apply(self, workspace: str) -> str:
        """`segue apply` of this text, as a user does it while the server runs."""
        self.file.write_text(workspace)
        return self.cli("apply", str(self.file))

    def poke(self) -> None:
        """Tell it that control has changed."""
        assert poke(self.data)

    def status(self) -> dict[str, Any]:
        """The object of `segue status --json`."""
        folder = Folder(self.data)
        with open_views(folder, clock_of(folder)) as views:
            return views.status()

    def destination(self, slug: str) -> dict[str, Any]:
        """One destination's entry in the status."""
        return next(entry for entry in self.status()["destinations"] if entry["slug"] == slug)

    def explain(self, message_id: str) -> dict[str, Any]:
        """What became of a message."""
        return json.loads(self.cli("explain", message_id, "--json"))

    def deliveries(self, message_id: str) -> dict[str, dict[str, Any]]:
        """What became of a message at each destination."""
        return {entry["destination"]: entry for entry in self.explain(message_id)["deliveries"]}

    def settled(self, *slugs: str, seconds: float = DEADLINE_S) -> dict[str, dict[str, Any]]:
        """Wait until nothing is on its way to these destinations (all, where none is named); their entries."""

        def look() -> dict[str, dict[str, Any]]:
            entries = {entry["slug"]: entry for entry in self.status()["destinations"]}
            chosen = {slug: entries[slug] for slug in slugs or entries}
            return {} if any(entry["lag"] or entry["retrying"] for entry in chosen.values()) else chosen

        started = time.monotonic()
        try:
            return until(look, "settled", seconds)
        except AssertionError:
            raise AssertionError(f"not settled in {time.monotonic() - started:.0f} s: {self.status()}") from None

    # -- what it is sent -----------------------------------------------------------------------------------------

    def post(self, path: str, body: Any, key: str = "demo-write-key", **more: Any) -> requests.Response:
        """One request of the Tracking API."""
        return requests.post(f"{self.url}{path}", json=body, auth=(key, ""), timeout=20, **more)

    def send(self, *events: dict[str, Any], key: str = "demo-write-key") -> None:
        """A batch of events, which must be acknowledged."""
        answer = self.post("/v1/batch", {"batch": list(events)}, key)
        assert answer.status_code == 200, answer.text

    def vendor(self, slug: str) -> Vendor:
        """One of the sandboxes."""
        return Vendor(f"{self.sandbox_url}/{slug}")

    def endpoint(self, slug: str) -> str:
        """Where a vendor's sandbox takes events."""
        return f"{self.sandbox_url}/{INBOUND[slug]}"
