"""One libcurl easy handle: what is set on it, and what it brought back.

A handle is made once and used for many requests. Setting an option costs about half a microsecond, a callback as much,
so what did not change since the last request is not set again, and no header of an answer passes through Python.

Rule: a request's body is sent at most once; every callback returns, whatever happens, since libcurl calls it from C.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import TYPE_CHECKING, Any

import pycurl

from segue.core.destination import Request, Response
from segue.deliver.addresses import AddressPolicy, may_connect
from segue.deliver.sockets import Sockets
from segue.deliver.target import Target

if TYPE_CHECKING:
    from segue.deliver.http import Exchange

BODY_KEPT = 64 * 1024
"""Bytes of an answer's body that are kept."""
BODY_READ = 1024 * 1024
"""Bytes that are read so that the connection can be used again; after them it is closed. The answer stands."""
RETRY_AFTER_MOST_MS = 3_600_000
CONNECTION_LIFE_SECONDS = 300
"""A connection is not used again after this long, so that a vendor's change of address is followed."""
BODY_HELD = 4096
"""A larger body is let go of when its request has ended, rather than with the handle's next request."""

_CONSTANT: tuple[tuple[int, Any], ...] = (
    (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
    (pycurl.FOLLOWLOCATION, 0),
    (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
    (pycurl.SSL_VERIFYPEER, 1),
    (pycurl.SSL_VERIFYHOST, 2),
    (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
    (pycurl.PROXY, ""),
    (pycurl.NOPROXY, "*"),
    (pycurl.USERAGENT, ""),
    (pycurl.NETRC, pycurl.NETRC_IGNORED),
    (pycurl.NOSIGNAL, 1),
    (pycurl.TCP_NODELAY, 1),
    (pycurl.PATH_AS_IS, 1),
    (pycurl.MAXLIFETIME_CONN, CONNECTION_LIFE_SECONDS),
)

_GO_ON: int = pycurl.PREREQFUNC_OK
_GIVE_UP: int = pycurl.PREREQFUNC_ABORT
_SOCKET_OK: int = pycurl.SOCKOPT_OK

_OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "expect"})
"""Set by libcurl, or not at all: another value would make the request unreadable."""
_UNASKED_HEADERS = ("Accept", "Content-Type")
"""What libcurl adds unless told otherwise; `Expect` is never sent."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_METHOD = re.compile(r"[A-Z]+")

_ERRORS: dict[int, str] = {
    pycurl.E_URL_MALFORMAT: "ADDRESS_REFUSED",
    pycurl.E_COULDNT_RESOLVE_HOST: "ENOTFOUND",
    pycurl.E_OPERATION_TIMEDOUT: "ETIMEDOUT",
    pycurl.E_SSL_CONNECT_ERROR: "ETLS",
    pycurl.E_PEER_FAILED_VERIFICATION: "ETLS",
    pycurl.E_SSL_CERTPROBLEM: "ETLS",
    pycurl.E_SSL_CIPHER: "ETLS",
    pycurl.E_SSL_CACERT_BADFILE: "ETLS",
    pycurl.E_SSL_ISSUER_ERROR: "ETLS",
    pycurl.E_GOT_NOTHING: "ECONNRESET",
    pycurl.E_SEND_ERROR: "ECONNRESET",
    pycurl.E_RECV_ERROR: "ECONNRESET",
    pycurl.E_PARTIAL_FILE: "ECONNRESET",
    pycurl.E_ABORTED_BY_CALLBACK: "ECONNRESET",  # by `_before_sending`, our only callback that aborts
}
"""What libcurl says, in the words of `Response.error`; anything else is EPROTO: the answer is not HTTP."""
_CONNECT_ERRORS = {
    errno.ECONNREFUSED: "ECONNREFUSED",
    errno.ECONNRESET: "ECONNRESET",
    errno.ETIMEDOUT: "ETIMEDOUT",
    errno.EHOSTUNREACH: "EHOSTUNREACH",
    errno.ENETUNREACH: "EHOSTUNREACH",
    errno.EMFILE: "EMFILE",
    errno.ENFILE: "EMFILE",
}


class Easy:
    """An easy handle that remembers what is set on it. `exchange` is whom it works for, None when it is free.

    Not a subclass of `pycurl.Curl`: that would make every reading of an attribute ten times as slow.
    """

    __slots__ = (
        "_body_size",
        "_getinfo",
        "_headers",
        "_host",
        "_method",
        "_open_error",
        "_opened",
        "_policy",
        "_received",
        "_received_size",
        "_refused",
        "_sent",
        "_setopt",
        "_socket",
        "_sockets",
        "begun",
        "curl",
        "exchange",
        "url",
    )

    def __init__(
        self, policy: AddressPolicy, sockets: Sockets, *, timeout_ms: int, trust: tuple[int, str] | None
    ) -> None:
        self.curl = pycurl.Curl()
        self._setopt = self.curl.setopt
        self._getinfo = self.curl.getinfo
        self.exchange: Exchange | None = None
        self.url = ""
        self.begun = 0.0
        self._policy = policy
        self._sockets = sockets
        self._host = ""
        self._method = "POST"
        self._headers: tuple[tuple[str, str], ...] | None = None
        self._body_size = 0
        self._sent = False
        self._received: bytes | bytearray = b""
        self._received_size = 0
        self._opened = 0
        self._refused = 0
        self._open_error = 0
        self._socket: socket.socket | None = None
        for option, value in _CONSTANT:
            self._setopt(option, value)
        self._setopt(pycurl.TIMEOUT_MS, timeout_ms)
        if trust is not None:
            self._setopt(*trust)
        self._setopt(pycurl.WRITEFUNCTION, self._receive)
        self._setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        self._setopt(pycurl.SOCKOPTFUNCTION, self._socket_opened)
        self._setopt(pycurl.PREREQFUNCTION, self._before_sending)

    def aim(self, url: str, target: Target) -> None:
        """Set the URL of the requests to come, and what it was read as."""
        self._setopt(pycurl.URL, target.url)
        self.url = url
        self._host = target.host

    def load(self, request: Request) -> bool:
        """Set what differs from the last request; False where a header or the method cannot be written."""
        headers = request.headers
        if headers is not self._headers and headers != self._headers:
            lines = _header_lines(headers)
            if lines is None:
                return False
            self._setopt(pycurl.HTTPHEADER, lines)
        self._headers = headers
        body = request.body
        if (request.method != self._method or not body) and not self._set_method(request.method, body):
            return False
        if body:
            self._setopt(pycurl.POSTFIELDS, body)
        self._body_size = len(body)
        self._sent = False
        self._received = b""
        self._received_size = self._opened = self._refused = self._open_error = 0
        return True

    def answer(self, failed: int, duration_ms: int) -> Response:
        """What came back. `failed` is libcurl's error code, 0 for none.

        An answer that ends within its body is none (ECONNRESET); one that ends between its status line and its body
        counts by its status, as libcurl has it: the vendor had decided.
        """
        if self._socket is not None:
            self._close_socket()
        if self._body_size > BODY_HELD:
            self._setopt(pycurl.POSTFIELDS, b"")
        if failed and not (failed == pycurl.E_WRITE_ERROR and self._received_size > BODY_READ):
            return Response(status=0, error=self._error(failed), duration_ms=duration_ms)
        status: int = self._getinfo(pycurl.RESPONSE_CODE)
        retry_after_ms = None
        if not 200 <= status < 300:
            seconds = self._getinfo(pycurl.RETRY_AFTER)
            retry_after_ms = min(seconds * 1000, RETRY_AFTER_MOST_MS) if seconds else None
        return Response(
            status=status, body=bytes(self._received), duration_ms=duration_ms, retry_after_ms=retry_after_ms
        )

    def _set_method(self, method: str, body: bytes) -> bool:
        # The answer to HEAD has a Content-Length and no body, and no flow asks for it.
        if _METHOD.fullmatch(method) is None or method in ("HEAD", "CONNECT"):
            return False
        self.curl.unsetopt(pycurl.CUSTOMREQUEST)
        if method == "GET" and not body:
            self._setopt(pycurl.HTTPGET, 1)
        else:
            self._setopt(pycurl.POSTFIELDS, body)
            if method != "POST":
                self._setopt(pycurl.CUSTOMREQUEST, method)
        self._method = method if body else ""  # so that the next request sets it again
        return True

    def _error(self, failed: int) -> str:
        if failed == pycurl.E_COULDNT_CONNECT or self._open_error:
            if self._refused and not self._opened:
                return "ADDRESS_REFUSED"
            return _CONNECT_ERRORS.get(self._open_error or self._getinfo(pycurl.OS_ERRNO), "ECONNREFUSED")
        if failed == pycurl.E_SSL_CONNECT_ERROR and self._getinfo(pycurl.OS_ERRNO) == errno.ECONNRESET:
            return "ECONNRESET"
        return _ERRORS.get(failed, "EPROTO")

    # What libcurl calls.

    def _receive(self, chunk: bytes) -> int | None:
        size = self._received_size
        self._received_size = size + len(chunk)
        if not size and len(chunk) <= BODY_KEPT:
            self._received = chunk
        elif size < BODY_KEPT:
            if not isinstance(self._received, bytearray):
                self._received = bytearray(self._received)
            self._received += chunk[: BODY_KEPT - size]
        return 0 if self._received_size > BODY_READ else None

    def _before_sending(self, _address: str, local_address: str, _port: int, local_port: int) -> int:
        # libcurl sends a request again, on another connection, where one that it had used before broke without a
        # byte of an answer, although the vendor may have read the request. What must not be sent twice ends here.
        # On a connection known to be dead nothing will have been sent.
        if self._sent:
            return _GIVE_UP
        self._sent = not self._sockets.is_dead(local_address, local_port)
        return _GO_ON

    def _open_socket(self, _purpose: int, to: Any) -> Any:
        address, port = to.addr[0], to.addr[1]
        own = self._policy.serves(port) and is_own_address(address)
        if not may_connect(address, port, self._policy, host=self._host, own_address=own):
            self._refused += 1
            return pycurl.SOCKET_BAD
        self._opened += 1
        if self._socket is not None:
            self._close_socket()
        try:
            self._socket = socket.socket(to.family, to.socktype, to.protocol)
        except OSError as error:
            self._open_error = error.errno or errno.EMFILE
            return pycurl.SOCKET_BAD
        return self._socket

    def _socket_opened(self, descriptor: int, _purpose: int) -> int:
        # pycurl gives libcurl a duplicate of ours, without close-on-exec.
        os.set_inheritable(descriptor, False)
        self._close_socket()
        self._sockets.opened(descriptor)
        return _SOCKET_OK

    def _close_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def is_own_address(address: str) -> bool:
    """Whether this machine has the address: whether a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _header_lines(headers: tuple[tuple[str, str], ...]) -> list[bytes] | None:
    """The headers as libcurl takes them, None where one cannot be written (a line break would begin another)."""
    lines = [b"Expect:"]
    unasked = dict.fromkeys(_UNASKED_HEADERS)
    for name, value in headers:
        if _HEADER_NAME.fullmatch(name) is None or _HEADER_VALUE.fullmatch(value) is None:
            return None
        if name.lower() in _OWN_HEADERS:
            continue
        unasked.pop(name.title(), None)
        value = value.strip()
        lines.append((f"{name}: {value}" if value else f"{name};").encode())
    lines.extend(f"{name}:".encode() for name in unasked)
    return lines
