"""Workspace files for tests, as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from .running import SLUGS, Instance

Entry = dict[str, Any]


def vendor_entry(instance: Instance, kind: str, source: str, slug: str | None = None, **more: Any) -> Entry:
    """A destination on the vendor's sandbox. `apiKey` and whatever belongs to the entry itself can be given."""
    settings = {"apiKey": more.pop("apiKey", f"demo-{kind}-key"), "endpoint": instance.endpoint(kind)}
    entry = {"slug": slug or f"{source}-{kind}", "source": source, "kind": kind, "enabled": True}
    return {**entry, "settings": settings, **more}


def vendor_entries(instance: Instance, source: str, kinds: Iterable[str] = SLUGS) -> list[Entry]:
    """A destination on the sandbox of each of these vendors."""
    return [vendor_entry(instance, kind, source) for kind in kinds]


def workspace_text(destinations: Iterable[Entry], sources: Iterable[str] = ()) -> str:
    """A file with these destinations and their sources; a source's write key is its slug with `-key` behind it."""
    listed = list(destinations)
    slugs = dict.fromkeys([*sources, *(entry["source"] for entry in listed)])
    return yaml.safe_dump(
        {
            "workspace": {"name": "Demo", "slug": "demo"},
            "sources": [{"slug": slug, "write_keys": [f"{slug}-key"]} for slug in slugs],
            "destinations": listed,
        },
        sort_keys=False,
    )
