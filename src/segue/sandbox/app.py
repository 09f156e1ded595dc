"""The app of the sandboxes: a mount for each vendor found in this package, and a list of them at `/`.

Rule: it serves callers on this machine only. The Host header must name a loopback address, so that no web
page can reach it through a name of its own that resolves to 127.0.0.1; admin calls must not come from another
site.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

import segue.sandbox
from segue.core.clock import Clock
from segue.sandbox.admin import admin_routes
from segue.sandbox.frame import Answer, Receiver, refusal
from segue.sandbox.mount import Sandbox, response
from segue.sandbox.store import Store


def receivers() -> Iterator[Receiver]:
    """Every vendor of this package, found by looking, in order of the modules' names."""
    for found in pkgutil.iter_modules(segue.sandbox.__path__):
        module = importlib.import_module(f"{segue.sandbox.__name__}.{found.name}")
        if isinstance(receiver := getattr(module, "receiver", None), Receiver):
            yield receiver


def create_app(path: Path, clock: Clock) -> Starlette:
    """The app over the SQLite file at `path`, which is made where it is missing; its folder must exist.

    Raises `Damaged` where the file is none of ours or of another version. The file is closed at the app's
    shutdown.
    """
    store = Store(path, clock)
    sandboxes = [Sandbox(receiver, store) for receiver in receivers()]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        store.close()

    app = Starlette(
        routes=[
            Route("/", _front(sandboxes)),
            *(Mount(f"/{sandbox.slug}", _router(sandbox)) for sandbox in sandboxes),
        ],
        middleware=[Middleware(LocalOnly)],
        exception_handlers={HTTPException: _http_error, Exception: _failure},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _router(sandbox: Sandbox) -> Router:
    # A slash too many or too few is 404, as at the vendors; a redirect would hide a wrong endpoint.
    return Router(
        [sandbox.inbound_route(), *admin_routes(sandbox), *sandbox.receiver.routes(sandbox)],
        redirect_slashes=False,
    )


def _front(sandboxes: list[Sandbox]) -> ASGIApp:
    listing = [
        {
            "vendor": sandbox.slug,
            "inbound": f"/{sandbox.slug}{sandbox.receiver.inbound}",
            "admin": f"/{sandbox.slug}/_sandbox/",
        }
        for sandbox in sandboxes
    ]
    return response(Answer(body={"sandboxes": listing}))


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return response(refusal(error.status_code, error.detail, dict(error.headers or {})))


async def _failure(_request: Request, _error: Exception) -> Response:
    return response(refusal(500, "The sandbox failed; its log says why"))


class LocalOnly:
    """421 where the Host header names anything but this machine, 403 for an admin call from another site."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the call through, or answers it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not is_local(headers.get("host", "")):
            answer = refusal(421, "The Host header must name this machine, such as 127.0.0.1 or localhost")
            await response(answer)(scope, receive, send)
        elif "/_sandbox/" in scope["path"] and not _same_machine(headers.get("origin")):
            await response(refusal(403, "Another site may not call the admin"))(scope, receive, send)
        else:
            await self._app(scope, receive, send)


@lru_cache(maxsize=256)
def is_local(host: str) -> bool:
    """Whether a Host header names a loopback address or name, with or without a port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name.rstrip(".") == "localhost" or name.rstrip(".").endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _same_machine(origin: str | None) -> bool:
    return origin is None or is_local(origin.partition("://")[2])
