"""The sockets that libcurl has open, in an epoll set of our own.

The loop watches the set's one descriptor. The kernel takes a socket out of the set when libcurl closes it, so there is
nothing to be told about that; and a connection that goes idle between two requests simply stays in, which saves two
system calls a request.

Rule: on a connection whose peer closed it, or wrote to it unasked, nothing is sent any more.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

import pycurl

_EVENTS_AT_ONCE = 256
_IN, _OUT, _ERROR = pycurl.CSELECT_IN, pycurl.CSELECT_OUT, pycurl.CSELECT_ERR
_POLL_IN, _POLL_REMOVE = pycurl.POLL_IN, pycurl.POLL_REMOVE
_IDLE = 0
_WATCHED = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}


class Sockets:
    """Which sockets are watched for what."""

    __slots__ = ("_dead", "_epoll", "_wanted")

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wanted: dict[int, int] = {}  # descriptor -> what libcurl waits for, _IDLE when kept for later
        self._dead: dict[int, tuple[str, int]] = {}  # descriptor -> its local address and port

    def fileno(self) -> int:
        """Readable whenever `drive` has something to do."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Watch nothing any more."""
        self._wanted.clear()
        self._dead.clear()
        self._epoll.close()

    def on_socket(self, what: int, descriptor: int, _multi: object, _assigned: object) -> None:
        """libcurl says what it waits for on a socket. Called from C: must not raise."""
        known = self._wanted.get(descriptor)
        if what == _POLL_REMOVE:
            if known == _POLL_IN:
                self._wanted[descriptor] = _IDLE
            elif known:
                self._unwatch(descriptor)
        elif known == _IDLE and what == _POLL_IN:
            self._wanted[descriptor] = what
        else:
            self._watch(descriptor, what)

    def opened(self, descriptor: int) -> None:
        """libcurl has a new socket: what was known of its number was of an older one. Called from C."""
        self._wanted.pop(descriptor, None)
        self._dead.pop(descriptor, None)

    def drive(self, action: Callable[[int, int], object]) -> None:
        """Call `action` (libcurl's `socket_action`) with each socket that is ready, and for what."""
        for descriptor, event in self._epoll.poll(0, _EVENTS_AT_ONCE):
            if self._wanted.get(descriptor) == _IDLE:
                self._bury(descriptor)
            elif event == select.EPOLLIN:
                action(descriptor, _IN)
            elif event == select.EPOLLOUT:
                action(descriptor, _OUT)
            else:
                action(descriptor, _ready_for(event))

    def is_dead(self, local_address: str, local_port: int) -> bool:
        """Whether this connection was found closed while it was idle. libcurl may still try to use it."""
        return bool(self._dead) and (local_address, local_port) in self._dead.values()

    def idle(self) -> list[int]:
        """The descriptors kept for later."""
        return [descriptor for descriptor, wanted in self._wanted.items() if wanted == _IDLE]

    def _bury(self, descriptor: int) -> None:
        """An idle connection has something to read: its end, or an answer to nothing. Make sending on it impossible.

        libcurl looks for itself only at connections that rested for a second; another it would write to, and could
        not say afterwards whether the vendor has read the request. Now the writing fails, and it takes another one.
        """
        self._unwatch(descriptor)
        try:
            connection = socket.socket(fileno=descriptor)
        except OSError:
            return  # not a socket: libcurl's own wake-up
        try:
            self._dead[descriptor] = connection.getsockname()[:2]
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer has reset it, which serves as well
        finally:
            connection.detach()

    def _watch(self, descriptor: int, what: int) -> None:
        events = _WATCHED.get(what, 0)
        try:
            self._epoll.modify(descriptor, events)
        except FileNotFoundError:
            self._epoll.register(descriptor, events)
        self._wanted[descriptor] = what

    def _unwatch(self, descriptor: int) -> None:
        self._wanted.pop(descriptor, None)
        try:
            self._epoll.unregister(descriptor)
        except OSError:
            pass  # libcurl closed it, and with that it left the set


def _ready_for(event: int) -> int:
    ready = _IN if event & (select.EPOLLIN | select.EPOLLHUP) else 0
    if event & select.EPOLLOUT:
        ready |= _OUT
    if event & (select.EPOLLERR | select.EPOLLHUP):
        ready |= _ERROR
    return ready
