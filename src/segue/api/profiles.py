"""The Profile API: what is known of a user or an account, by Segment's paths, as an ASGI application.

Starlette alone, which FastAPI is made of: no request has a body or a schema, so that FastAPI would bring 16 MB and
half a second of loading, and nothing that is used here.

Rule: nothing is read before the token and the space's rate have been checked, and no answer may be read by a web page
of another origin: there is no CORS.

Source: Segment, Profile API.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.typing import FilteringBoundLogger

from segue.api.access import Access
from segue.api.limits import ApiLimits
from segue.api.problem import Problem
from segue.api.profile_files import ProfileFiles
from segue.api.query import Listing, Wanted, listing, wanted
from segue.api.views import VIEWS, Body, Files, View, not_found
from segue.collect.rate import RateLimit
from segue.core.clock import Clock
from segue.core.errors import Damaged
from segue.log import LogReader
from segue.state.control import Control

PREFIX = "/v1/spaces"
PROFILE = PREFIX + "/{space}/collections/{collection}/profiles/{identifier:identifier}"


class _Identifier(StringConvertor):
    """An external id in a path: any text, also one with slashes or line ends in it."""

    regex = r"[\s\S]+"


register_url_convertor("identifier", _Identifier())


class ProfileApi:
    """The ASGI application. `use` hands it the spaces and tokens there are now; before that there are none."""

    def __init__(
        self,
        path_of: Callable[[int], Path],
        *,
        lake_of: Callable[[int], Path],
        log: LogReader,
        clock: Clock,
        lines: FilteringBoundLogger,
        limits: ApiLimits = ApiLimits(),  # frozen
    ) -> None:
        """`path_of` gives the file of the profiles of a space's id, `lake_of` the folder of its event history."""
        self._access = Access(Control())
        self._files = ProfileFiles(path_of, lake_of, log, clock, limits)
        self._rate = RateLimit(limits.requests_per_second)
        self._clock = clock
        self._lines = lines
        self._app = Starlette(
            routes=[Route(f"{PROFILE}/{name}", self._endpoint(view)) for name, view in VIEWS.items()],
            exception_handlers={Problem: _tell, Damaged: self._tell_damaged, HTTPException: _tell_other},
        )
        self._app.router.redirect_slashes = False

    def use(self, control: Control) -> None:
        """From now on these spaces and tokens count."""
        self._access = Access(control)
        self._files.keep({row.id for row in control.spaces})

    async def close(self) -> None:
        """Let go of the files."""
        await self._files.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one HTTP request."""
        await self._app(scope, receive, send)

    def _endpoint(self, view: View) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            path = request.path_params
            space = self._access.check(path["space"], request.headers.get("authorization"))
            self._check_rate(space.slug)
            _check_no_body(request)
            profile = wanted(space.slug, path["collection"], path["identifier"])
            asked = listing(request.query_params.getlist, default=view.default, most=view.most, timed=view.timed)
            found = await self._files.read(space.id, partial(_read, view, profile, asked))
            if found is None:
                raise not_found()
            return _response(200, found)

        return answer

    def _check_rate(self, space: str) -> None:
        wait = self._rate.wait_seconds(space, self._clock.now_ms())
        if wait:
            raise Problem("rate_limit_error", "The space has had too many requests in a second.", retry_after=wait)

    async def _tell_damaged(self, request: Request, error: Exception) -> Response:
        # The words name a path of the server, which its log may have and a client may not.
        self._lines.error("profiles cannot be read", error=str(error))
        return await _tell(request, Problem("internal_error", "The profiles of this space cannot be read."))


def _read(view: View, profile: Wanted, asked: Listing, files: Files) -> bytes:
    return msgspec.json.encode(view.read(files, profile, asked))


def _check_no_body(request: Request) -> None:
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        raise Problem("invalid_request_error", "A request of the Profile API has no body.")


def _response(status: int, body: bytes, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {"Request-Id": str(uuid.uuid4()), "Cache-Control": "no-store"}
    return Response(body, status, {**kept, **named}, media_type="application/json")


async def _tell(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    headers = {}
    if error.retry_after is not None:
        headers["Retry_After"] = str(error.retry_after)
        if error.status == 429:
            headers["X_RateLimit_Reset"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW_Authenticate"] = 'Basic realm="segue"'
    body: Body = error.body
    return _response(error.status, msgspec.json.encode(body), **headers)


async def _tell_other(request: Request, error: Exception) -> Response:
    """What Starlette finds by itself: nothing at this address, or another method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        body = Problem("invalid_request_error", "Only GET is allowed here.", status=405).body
        return _response(405, msgspec.json.encode(body), Allow="GET, HEAD")
    return await _tell(request, Problem("not_found", "There is nothing at this address."))
