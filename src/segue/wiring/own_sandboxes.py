"""Which destinations send to this instance's own sandboxes.

Rule: the host and the port decide, however they are written and wherever in the settings; no name is looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segue.control.setting_values import is_open, resolved_value, texts_of, unsealed_value
from segue.deliver.target import target
from segue.wiring.options import is_loopback


def sends_to_sandbox(settings: Mapping[str, Any], sandbox_url: str | None, environ: Mapping[str, str]) -> bool:
    """Whether a destination with these stored settings sends to the sandboxes at `sandbox_url`, one address of several
    being enough. A reference to a variable that `environ` has not is no address."""
    own = target(sandbox_url) if sandbox_url is not None else None
    if own is None:
        return False
    values = [unsealed_value(stored, None) for stored in settings.values()]
    known = [resolved_value(value, environ, "") for value in values if not is_open(value, environ)]
    addresses = [target(text) for value in known for text in texts_of(value)]
    return any(found is not None and found.port == own.port and is_loopback(found.host) for found in addresses)
