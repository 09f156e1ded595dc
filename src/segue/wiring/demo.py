"""The demo workspace: one source, and the five destinations on the sandboxes of this instance.

Rule: its keys are known to everybody, so it is only ever used with the sandboxes, on this machine.
"""

from __future__ import annotations

DEMO_WRITE_KEY = "demo-write-key"

_DESTINATIONS = (
    ("plotline", "Plotline", "plotline/segment/events"),
    ("pointillist", "Pointillist", "pointillist/event"),
    ("planhat", "Planhat", "planhat/dock/segment"),
    ("user-com", "User.com", "user-com/api/segment/"),
    ("astrolabe", "Astrolabe", "astrolabe/connectors/segment"),
)


def demo_workspace(sandbox_url: str) -> str:
    """The workspace file of the demo, with the sandboxes at `sandbox_url`."""
    lines = [
        "workspace: {name: Demo, slug: demo}",
        "sources:",
        f"  - {{slug: website, name: Website, write_keys: [{DEMO_WRITE_KEY}]}}",
        "destinations:",
    ]
    for slug, name, path in _DESTINATIONS:
        settings = f'{{apiKey: demo-{slug}-key, endpoint: "{sandbox_url}/{path}"}}'
        lines.append(
            f"  - {{slug: {slug}, source: website, kind: {slug}, name: {name}, enabled: true, settings: {settings}}}"
        )
    return "\n".join(lines) + "\n"
