"""One instance of Segue: its data folder, the files in it, and who holds which role.

Rule: a role (supervisor, collector, worker, sandboxes) is held by one process at a time, by a lock that ends with it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import stat
import time
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from segue.core.errors import Held, Invalid
from segue.wiring.hints import pasteable

WAIT_FOR_ROLE_S = 5.0
BACKUP_MARK = "backup.json"
"""Written last into a backup: a folder without it is no whole one, and one that has it is no instance."""


SANDBOXES_KNOWN_MOST = 16


class Address(Struct, frozen=True, kw_only=True):
    """Where a running instance can be reached; written by its supervisor when it is ready."""

    pid: int
    url: str
    sandbox_url: str | None = None
    """Where its sandboxes are, or were when it last ran with them."""
    former_sandboxes: tuple[str, ...] = ()
    """Where they were before that, the newest first: a destination may still send there."""
    start: tuple[str, ...] = ()
    """The words behind `segue up` that have it listen there again."""
    settings: dict[str, str] = {}
    """The settings that it runs with, by name, as one would write them; no secret is among them."""

    @property
    def known_sandboxes(self) -> tuple[str, ...]:
        """Every address that its sandboxes are known to have had, the newest first."""
        return () if self.sandbox_url is None else (self.sandbox_url, *self.former_sandboxes)


class Instance:
    """The data folder of one instance."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.control = folder / "control.db"
        self.state = folder / "state.db"
        self.quarantine = folder / "quarantine.db"
        self.sandbox = folder / "sandbox.db"
        self.log = folder / "log"
        self.spaces = folder / "spaces"
        self.secret_key = folder / "secret.key"
        self.socket = folder / "segue.sock"
        self.last = folder / "address.json"
        self._locks = folder / "locks"

    def profiles(self, space: int) -> Path:
        """Where the profiles of a space are; its worker makes the file, and the folder that it stands in."""
        return self.spaces / str(space) / "profiles.db"

    def left_out(self, space: int) -> Path:
        """Why the worker has left a space out; there is no such file where it has not."""
        return self.spaces / str(space) / "left-out"

    def lake(self, space: int) -> Path:
        """The folder of a space's event history."""
        return self.spaces / str(space) / "lake"

    def create(self) -> None:
        """Make the folder, for its owner alone. Raises Invalid where that cannot be."""
        self.check_reach()
        self._refuse_backup()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._locks.mkdir(mode=0o700, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise Invalid(f"{self.folder} cannot be made: a file stands in its way", field="--data") from None
        except FileNotFoundError:
            raise Invalid(f"{self.folder} cannot be made: the system allows no folder there", field="--data") from None
        except OSError as error:
            raise Invalid(f"{self.folder} cannot be made: {error.strerror}", field="--data") from None

    def check_reach(self) -> None:
        """Raises Invalid where there is a folder that this user may not use, or a name that cannot be one's."""
        try:
            found = self.folder.stat()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise Invalid(f"{self.folder} cannot be reached: {error.strerror}", field="--data") from None
        if not stat.S_ISDIR(found.st_mode) or os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
            return
        words = f"{self.folder} cannot be used: {os.strerror(errno.EACCES)}"
        if found.st_uid != os.geteuid():
            owner = _user(found.st_uid)
            words += f"; it belongs to {owner}: run this as {owner}, or choose another folder"
        raise Invalid(words, field="--data")

    def require(self) -> None:
        """Raises Invalid where there is no instance in the folder."""
        self._refuse_backup()
        if not self.control.exists():
            start = pasteable("up", folder=self.folder)
            raise Invalid(f"there is no Segue in {self.folder}; start one with `{start}`", field="--data")

    def hold(self, role: str, *, wait_s: float = WAIT_FOR_ROLE_S) -> int:
        """Take a role for as long as this process lives; gives the lock's file descriptor, to be kept open.

        Raises Held naming the process that has it, after `wait_s` seconds.
        """
        descriptor = os.open(self._locks / f"{role}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_up_at = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= give_up_at:
                    holder = os.pread(descriptor, 20, 0).decode() or "another process"
                    os.close(descriptor)
                    raise Held(f"process {holder} is the {role} of {self.folder} already; stop it first") from None
                time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor

    def is_held(self, role: str) -> bool:
        """Whether some process has the role now."""
        try:
            os.close(self.hold(role, wait_s=0))
        except Held:
            return True
        except FileNotFoundError:
            return False
        return False

    def stopped(self) -> Invalid:
        """The error of a command that needs the running instance."""
        return Invalid(f"no Segue runs in {self.folder}; start it with `{self.start_line()}`", field="--data")

    def start_line(self, sandbox_url: str | None = None) -> str:
        """The command line that starts it as it ran last, with its sandboxes at `sandbox_url` or where they were last.

        Neither with its workspace file nor with `--demo`: either would undo what was applied since.
        """
        address = self.last_address()
        if address is None:
            return pasteable("up", folder=self.folder)
        url = sandbox_url or address.sandbox_url
        sandboxes = [] if url is None else ["--sandbox-port", str(urlsplit(url).port)]
        return pasteable("up", *address.start, *sandboxes, folder=self.folder)

    def publish(self, address: Address) -> None:
        """Say where the instance can be reached. Sandboxes that it had before stay known."""
        before = self.last_address()
        known = (*address.known_sandboxes, *(before.known_sandboxes if before is not None else ()))
        url, *former = tuple(dict.fromkeys(known))[:SANDBOXES_KNOWN_MOST] or (None,)
        address = replace(address, sandbox_url=url, former_sandboxes=tuple(former))
        temporary = self.last.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.encode(address))
        temporary.replace(self.last)

    def last_address(self) -> Address | None:
        """Where it can be reached, or could when it last ran; None where it never did."""
        try:
            return msgspec.json.decode(self.last.read_bytes(), type=Address)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def settings_in_effect(self) -> dict[str, str] | None:
        """The settings of the running server, by name, as one would write them; None where none runs."""
        address = self.last_address()
        return address.settings or None if address is not None and self.is_held("supervisor") else None

    def _refuse_backup(self) -> None:
        if (self.folder / BACKUP_MARK).exists():
            restore = pasteable("restore", str(self.folder), folder=Path("DIR"))
            raise Invalid(f"{self.folder} is a backup; make an instance of it with `{restore}`", field="--data")

    def address(self) -> Address:
        """Where the running instance can be reached. Raises Invalid where none runs."""
        self.require()
        address = self.last_address()
        if address is None or not self.is_held("supervisor"):
            raise self.stopped()
        return address


def _user(number: int) -> str:
    """The name of a user; the number where it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
