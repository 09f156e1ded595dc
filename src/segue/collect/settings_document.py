"""The settings document that analytics.js and the mobile SDKs load before they send.

Rule: it holds nothing but what sends them back to this host: no other destination, no secret.
Source: the SDKs' own types; analytics-next, "LegacySettings".
"""

from __future__ import annotations

from typing import Any


def settings_document(write_key: str, *, host: str, scheme: str) -> dict[str, Any]:
    """The document of one source. `host` is the Host header of the request, `scheme` http or https."""
    allowed = {"__default": {"enabled": True, "integrations": {}}}
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": write_key,
                "apiHost": f"{host}/v1",
                "protocol": scheme,
                "unbundledIntegrations": [],
                "addBundledMetadata": True,
                "maybeBundledConfigIds": {},
                "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
                "retryQueue": True,
            }
        },
        "plan": {"track": allowed, "identify": allowed, "group": allowed},
        "middlewareSettings": {"routingRules": []},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "remotePlugins": [],
        "legacyVideoPluginsEnabled": False,
        "edgeFunction": {},
        "autoInstrumentationSettings": {"sampleRate": 0},
    }
