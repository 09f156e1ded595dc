"""Ports: a listener's socket, and a free port that stays ours while the processes behind it come and go.

Rule: where a port was left to us (0), every process of the instance and each of its restarts is told the same one.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from segue.core.errors import Held, Invalid

LISTENING = "0A"
"""The state of a listener in /proc/net/tcp."""


def listen(host: str, port: int, option: str = "--port", variable: str = "PORT") -> socket.socket:
    """A bound socket. Raises Held where the port is in use, Invalid where it is not to be had at all, as `refusal`."""
    listener = _socket_for(host)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _bind(listener, host, port, option, variable)


def keep_free_port(host: str) -> tuple[socket.socket, int]:
    """A free port of this host; nobody else gets it while the socket is open. Raises Invalid as `listen` does."""
    keeper = _bind(_socket_for(host), host, 0, "--port", "PORT")
    # Set only now: the port was to be nobody's, but our own processes may listen on it beside this socket.
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return keeper, int(keeper.getsockname()[1])


def holder_of(port: int) -> str:
    """Who listens on the port, as far as this user may know it: `process 4711 (python3)`, else `another process`."""
    sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listeners(table, port)}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(descriptor.readlink()) in sockets for descriptor in (process / "fd").iterdir()):
                return f"process {process.name} ({(process / 'comm').read_text().strip()})"
        except OSError:
            continue  # another user's, or it has ended meanwhile
    return "another process"


def refusal(error: OSError, host: str, port: int, option: str, variable: str = "") -> Held | Invalid:
    """Why the system gives no such port, and what to do.

    `option` is the one by which the user gives another, `variable` the one by which `make up` does.
    """
    match error.errno:
        case errno.EADDRINUSE:
            by_make = f" (make up {variable}=...)" if variable else ""
            held = f"port {port} of {host} is held by {holder_of(port)}"
            return Held(f"{held}; stop it, or choose another: {option}{by_make}")
        case errno.EACCES:
            return Invalid(f"port {port} is the system's own; choose one from 1024 on", field=option)
        case errno.EADDRNOTAVAIL:
            return Invalid(f"{host} is no address of this machine", field="--host")
        case number:
            return Invalid(f"cannot listen on {host}: {os.strerror(number or 0)}", field="--host")


def _listeners(table: str, port: int) -> list[str]:
    """The inodes of the sockets that listen on the port."""
    try:
        rows = [line.split() for line in Path("/proc/net", table).read_text().splitlines()[1:]]
    except OSError:
        return []
    return [row[9] for row in rows if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port]


def _socket_for(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def _bind(unbound: socket.socket, host: str, port: int, option: str, variable: str) -> socket.socket:
    try:
        unbound.bind((host, port))
    except OSError as error:
        unbound.close()
        raise refusal(error, host, port, option, variable) from None
    return unbound
