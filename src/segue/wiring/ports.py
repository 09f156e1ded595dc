"""Ports: a listener's socket, and a free port that stays ours while the processes behind it come and go.

Rule: where a port was left to us (0), every process of the instance and each of its restarts is told the same one.
"""

from __future__ import annotations

import socket

from segue.core.errors import Held


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises Held where the port is in use, or the address is none of this machine's."""
    listener = _socket_for(host)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _bind(listener, host, port)


def keep_free_port(host: str) -> tuple[socket.socket, int]:
    """A free port of this host; nobody else gets it while the socket is open. Raises Held as `listen` does."""
    keeper = _bind(_socket_for(host), host, 0)
    # Set only now: the port was to be nobody's, but our own processes may listen on it beside this socket.
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return keeper, int(keeper.getsockname()[1])


def _socket_for(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def _bind(unbound: socket.socket, host: str, port: int) -> socket.socket:
    try:
        unbound.bind((host, port))
    except OSError as error:
        unbound.close()
        raise Held(
            f"port {port} of {host} cannot be had: {error.strerror}. Stop what uses it, or choose another: --port"
        ) from None
    return unbound
