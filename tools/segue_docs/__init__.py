"""The reference pages, made from the code: settings, codes, metrics, commands, limits, destinations, JSON forms.

Rule: every name and every number comes from `segue`; only words that the code does not hold are written here, and
one that is missing or left over is an error.
"""

from __future__ import annotations

from segue_docs import cli, destinations, error_codes, json_forms, lake, limits, metrics, settings, workspace_file

PREFIX = "reference/"


def pages() -> dict[str, str]:
    """The Markdown of each generated page by its path under `docs/`."""
    made = {
        "settings.md": settings.page(),
        "error-codes.md": error_codes.page(),
        "metrics.md": metrics.page(),
        "cli.md": cli.page(),
        "limits.md": limits.page(),
        "workspace-file.md": workspace_file.page(),
        "json-forms.md": json_forms.page(),
        "lake.md": lake.page(),
        "destinations.md": destinations.index(),
        **{f"destinations/{slug}.md": text for slug, text in destinations.pages().items()},
    }
    return {PREFIX + path: text for path, text in made.items()}
