"""Which destinations send to this instance's own sandboxes, and what becomes of them while those do not run.

Rule: the host and the port decide, however they are written and wherever in the settings; no name is looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from segue.control.setting_values import is_open, resolved_value, texts_of, unsealed_value
from segue.deliver.addresses import LOOPBACKS, AddressPolicy, may_connect
from segue.deliver.target import Target, target
from segue.wiring.options import is_loopback


class OwnSandboxes(Struct, frozen=True):
    """The addresses that this instance's sandboxes have or had, and where this run may send to."""

    known: tuple[str, ...]
    policy: AddressPolicy

    def absence(self, settings: Mapping[str, Any], environ: Mapping[str, str]) -> str:
        """Why a destination with these stored settings has to wait for sandboxes that do not run, and what to do.

        Empty where it sends to none, to some that run, or where the operator allows the address by itself.
        """
        for url, found in _on_sandboxes(settings, self.known, environ):
            if not any(may_connect(str(end), found.port, self.policy, host=found.host) for end in LOOPBACKS):
                return (
                    f"it sends to this instance's sandboxes at {url}, which do not run: start Segue with "
                    f"--sandbox-port {found.port}, or give another address"
                )
        return ""


def sandbox_of(settings: Mapping[str, Any], known: Iterable[str], environ: Mapping[str, str]) -> str | None:
    """The address of those sandboxes to which a destination with these stored settings sends; None where to none.

    One address of several is enough. A reference to a variable that `environ` has not is no address.
    """
    return next((url for url, _ in _on_sandboxes(settings, known, environ)), None)


def sends_to_sandbox(settings: Mapping[str, Any], sandbox_url: str | None, environ: Mapping[str, str]) -> bool:
    """Whether a destination with these stored settings sends to the sandboxes at `sandbox_url`, as `sandbox_of`."""
    return sandbox_url is not None and sandbox_of(settings, [sandbox_url], environ) is not None


def _on_sandboxes(
    settings: Mapping[str, Any], known: Iterable[str], environ: Mapping[str, str]
) -> Iterator[tuple[str, Target]]:
    """Each of the settings' addresses that is one of the sandboxes', and the sandboxes' own form of it."""
    urls = {own.port: url for url in known if (own := target(url)) is not None}
    if not urls:
        return
    values = [unsealed_value(stored, None) for stored in settings.values()]
    resolved = [resolved_value(value, environ, "") for value in values if not is_open(value, environ)]
    for text in (text for value in resolved for text in texts_of(value)):
        found = target(text)
        if found is not None and found.port in urls and is_loopback(found.host):
            yield urls[found.port], found
