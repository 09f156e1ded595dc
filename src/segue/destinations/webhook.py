"""Webhooks: every event, as JSON, to one to five addresses of your own.

API: Segment's classic Webhooks destination (its catalog page): POST, `User-Agent: Segment.io/1.0`, custom
headers, an answer within 5 s, certificates that a public authority signed. Limit: five addresses.
Rule: all addresses are called at each attempt; one 2xx among the answers is enough for the event to be
delivered.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Generator, Mapping, Sequence
from functools import cached_property
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from segue.core.destination import BatchFlow, Destination, Flow, Request, Response, Verdict, verdict
from segue.core.errors import Unsuccessful
from segue.core.event import CALL_TYPES, Event
from segue.destinations._partner import ENDPOINT_PATTERN, USER_AGENT, Headers
from segue.destinations._stringify import stringified

HOOKS_MAX = 5
"""Segment's limit ("Sending to multiple webhooks")."""

HEADERS_MAX = 50
HEADER_VALUE_MAX = 8_192
URL_MAX = 2_048
BATCH_MAX = 1_000

# Names that say how the message is framed or what its body is: Segue writes both, so that no setting
# can make a request lie about itself or smuggle a second one. The signature comes from the secret alone.
RESERVED = frozenset(
    {
        *("connection", "http2-settings", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"),
        *("content-encoding", "content-length", "content-type", "expect", "host", "transfer-encoding"),
        *("proxy-authenticate", "proxy-authorization", "x-signature"),
    }
)

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")
_VALUE = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?")

URL = Annotated[str, Meta(pattern=ENDPOINT_PATTERN, max_length=URL_MAX)]
HeaderMap = dict[str, str]


class Hook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One address, with headers that go to it alone."""

    hook: URL
    headers: Annotated[HeaderMap, Meta(extra={"secret": True})] = {}

    def __post_init__(self) -> None:
        check_url(self.hook)
        check_headers(self.headers)


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Where events go, and what proves that they come from here."""

    hooks: Annotated[
        list[URL | Hook],
        Meta(
            title="Webhooks (max 5)",
            description=(
                "The addresses to send to: each a URL with http or https, or an object of `hook` (the URL) "
                "and `headers` for this address alone, which are secret. An event counts as delivered when "
                "one of them answers 2xx."
            ),
            max_length=HOOKS_MAX,
        ),
    ] = []
    globalHook: Annotated[
        URL | None,
        Meta(
            title="Webhook URL",
            description="One more address; counts among the five.",
            extra={"hidden": True},
        ),
    ] = None
    sharedSecret: Annotated[
        str,
        Meta(
            title="Shared Secret",
            description=(
                "When given, each request carries `X-Signature`: the hex HMAC-SHA1 of its body with this "
                "secret. A batch is signed over the JSON of its first event."
            ),
            extra={"secret": True},
        ),
    ] = ""
    headers: Annotated[
        HeaderMap,
        Meta(
            title="Headers",
            description="Headers for all addresses, by name. Those of one address win over these.",
            extra={"secret": True},
        ),
    ] = {}
    batch_size: Annotated[
        int,
        Meta(
            title="Batch size",
            description=("The most events in one request. 1 sends each alone; from 2 on the body is a JSON array."),
            ge=1,
            le=BATCH_MAX,
        ),
    ] = 1

    def __post_init__(self) -> None:
        count = len(self.hooks) + (self.globalHook is not None)
        if not 1 <= count <= HOOKS_MAX:
            raise ValueError(f"hooks: 1 to {HOOKS_MAX} addresses are needed, {count} are given")
        for hook in (self.globalHook, *self.hooks):
            if isinstance(hook, str):
                check_url(hook)
        check_headers(self.headers)

    @cached_property
    def calls(self) -> tuple[tuple[str, Headers], ...]:
        """Each address with the headers it gets, but for the signature."""
        first = () if self.globalHook is None else (self.globalHook,)
        hooks = [Hook(hook=given) if isinstance(given, str) else given for given in (*first, *self.hooks)]
        return tuple((hook.hook, _headers(self.headers, hook.headers)) for hook in hooks)


def check_url(url: str) -> None:
    """Raises ValueError, which never quotes the address, where it cannot be called as it stands."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable():
        raise ValueError("an address needs http:// or https://, a host, and a port from 1 to 65535 if it names one")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address must not hold a user or a password; put them into an Authorization header")


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises ValueError where a header would break or belie the request; its value is never quoted."""
    if len(headers) > HEADERS_MAX:
        raise ValueError(f"headers: at most {HEADERS_MAX} are possible, {len(headers)} are given")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("headers: a name is given twice; case makes no difference in it")
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError("headers: a name is letters, digits and !#$%&'*+-.^_`|~, at most 256 of them")
        if name.lower() in RESERVED:
            raise ValueError(f"headers: {name} is written by Segue and cannot be set")
        if len(value) > HEADER_VALUE_MAX or not _VALUE.fullmatch(value):
            raise ValueError(
                f"headers: the value of {name} must be 1 to {HEADER_VALUE_MAX} characters of ASCII "
                "on one line, without blanks around it"
            )


def _headers(*maps: Mapping[str, str]) -> Headers:
    """The headers of a request, those of later maps in the place of earlier ones of the same name."""
    merged = {"content-type": ("Content-Type", "application/json"), "user-agent": ("User-Agent", USER_AGENT)}
    for given in maps:
        merged.update((name.lower(), (name, value)) for name, value in given.items())
    return tuple(merged.values())


def send(settings: Settings, event: Event) -> Flow:
    """The event's JSON to every address. Raises `Unsuccessful` where none of them answers 2xx.

    Where batching is on it goes as an array of one: a receiver of batches must not meet a second form.
    """
    body = _event_body(settings, event)
    yield from _call_all(settings, body if settings.batch_size == 1 else _array([body]), signed=body)


def send_batch(settings: Settings, events: Sequence[Event]) -> BatchFlow:
    """The events as one JSON array to every address, signed over the first event (Segment's rule).

    Returns None: an address takes a batch as a whole or not at all.
    """
    bodies = [_event_body(settings, event) for event in events]
    yield from _call_all(settings, _array(bodies), signed=bodies[0])
    return None


def _array(bodies: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(bodies) + b"]"


def _event_body(settings: Settings, event: Event) -> bytes:
    # Segment's example checks the signature over JSON.stringify of the parsed body, so a signed event goes
    # out in that form; an unsigned one goes out with the bytes it was accepted with.
    return stringified(event.body) if settings.sharedSecret else event.body


def _call_all(settings: Settings, body: bytes, *, signed: bytes) -> Generator[Request, Response, None]:
    signature = _signature(settings.sharedSecret, signed)
    calls = settings.calls
    judge = len(calls) > 1  # a lone answer is its own verdict
    answers = []
    for url, headers in calls:
        answers.append((yield Request(url=url, headers=headers + signature, body=body, judge=judge)))
    if judge:
        _require_success(answers)


def _signature(secret: str, body: bytes) -> Headers:
    if not secret:
        return ()
    # SHA-1 is Segment's choice; as an HMAC it still proves that the sender holds the secret.
    return (("X-Signature", hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()),)


def _require_success(answers: Sequence[Response]) -> None:
    """Raises `Unsuccessful` unless an answer is 2xx: with one that can be retried, else with the first.

    Of several that can be retried it is the one that asks for the longest pause.
    """
    verdicts = [_verdict(answer) for answer in answers]
    if Verdict.DELIVERED in verdicts:
        return
    retryable = [answer for answer, found in zip(answers, verdicts, strict=True) if found is Verdict.RETRY]
    if retryable:
        raise Unsuccessful(max(retryable, key=lambda answer: answer.retry_after_ms or 0))
    raise Unsuccessful(answers[0])


def _verdict(answer: Response) -> Verdict:
    # No answer is retried, but an address that the network refuses to open stays refused.
    return Verdict.REFUSED if answer.error == "ADDRESS_REFUSED" else verdict(answer.status)


def batch_size(settings: Settings) -> int:
    """The most events in one request."""
    return settings.batch_size


destination = Destination(
    name="Webhooks",
    slug="webhook",
    id="54521fdc25e721e32a72ef04",
    settings=Settings,
    send=send,
    send_batch=send_batch,
    batch_size=batch_size,
    methods=frozenset(CALL_TYPES),
    description="Sends every event as JSON to up to five addresses of your own.",
    previous_names=("Webhooks",),
    categories=("Raw Data",),
    status="PUBLIC",
    docs_url="https://segment.com/docs/connections/destinations/catalog/webhooks/",
    contact="friends@segment.com",
    key_help="A shared secret is yours to choose; the receiver needs the same one to check X-Signature.",
    partner_owned=False,
    browser_unbundling_public=True,
    contract=(
        "Segment's: up to five addresses, the headers, X-Signature, that one success is enough, and the "
        "names hooks, hook, headers, globalHook and sharedSecret. PROPOSED by us: batch_size, headers for "
        "all addresses at once, which headers are refused, and that the longest Retry-After among several "
        "answers counts."
    ),
)
