"""The HTTP server of the sandboxes.

Rule: it binds a loopback address and no other, whatever it is told.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from segue.core.errors import Held, Invalid
from segue.sandbox.mount import CLOSE_SOCKET

GRACE_SECONDS = 2


class _Protocol(HttpToolsProtocol):
    """uvicorn's own, with a way for the app to end a connection without an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {CLOSE_SOCKET: self.transport.abort}
        self.scope["extensions"] = extensions


def loopback_socket(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A listening socket; port 0 takes a free one (`getsockname()` says which).

    Raises `Invalid` where the host is not a loopback address, `Held` where the port is in use.
    """
    address = ip_address("127.0.0.1" if host == "localhost" else host)
    if not address.is_loopback:
        raise Invalid("the sandboxes listen on a loopback address only", field="host")
    listener = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((str(address), port))
    except OSError as error:
        listener.close()
        raise Held(f"port {port} of {address} cannot be had: {error.strerror}") from error
    listener.listen(1024)
    return listener


def server(app: ASGIApp) -> uvicorn.Server:
    """The server, ready for `await serve(sockets=[loopback_socket(...)])`, or `run(...)` in a thread of its
    own.

    It ends when `should_exit` is set, or by a signal where it runs in the main thread.
    """
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return uvicorn.Server(config)
