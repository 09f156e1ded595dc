"""The pages of the destinations, from the catalog.

Rule: what is PROPOSED by us is called so on the page, in the words of the kind's own `contract`.
"""

from __future__ import annotations

import json

from segue.core.destination import Destination, SettingField, setting_fields
from segue.destinations import catalog
from segue_docs.markdown import code, generated_from, table

_HEAD = """# Destinations

The kinds that Segue has. Each is one pure file, found by looking; [Add a destination](../internals/destinations.md)
says how to write another. To connect one for real: [Connect a vendor](../how-to/connect-a-vendor.md).

"""


def index() -> str:
    """The list of all kinds."""
    rows = [
        (f"[{kind.name}](destinations/{slug}.md)", code(slug), _methods(kind), kind.description)
        for slug, kind in catalog().items()
    ]
    return _HEAD + generated_from("segue.destinations") + table(("Kind", "Slug", "Call types", "What it is"), rows)


def pages() -> dict[str, str]:
    """The page of each kind by its slug."""
    return {slug: _page(kind) for slug, kind in catalog().items()}


def _page(kind: Destination) -> str:
    facts = [
        ("Kind", code(kind.slug)),
        ("Call types", _methods(kind)),
        ("Names in `integrations`", ", ".join(code(name) for name in _names(kind))),
        ("Segment's id", code(kind.id)),
        ("Status in Segment's catalog", kind.status),
        ("Categories", ", ".join(kind.categories)),
        ("Website", f"<{kind.website}>" if kind.website else ""),
        ("Segment's page", f"<{kind.docs_url}>" if kind.docs_url else ""),
        ("Contact", kind.contact),
        ("Suggested rate", f"{kind.max_rate * 60:g} requests a minute" if kind.max_rate else ""),
        ("Batching", "yes: `batch_size`" if kind.send_batch is not None else "no: one request an event"),
    ]
    settings = [
        (code(field.name), field.label, _type(field), "yes" if field.required else _default(field), _description(field))
        for field in setting_fields(kind.settings)
    ]
    return (
        f"# {kind.name}\n\n{kind.description}\n\n"
        + generated_from(kind.settings.__module__)
        + table(("Fact", "Value"), [fact for fact in facts if fact[1]])
        + f"\n## Where the key comes from\n\n{kind.key_help}\n"
        + "\n## Settings\n\n"
        + table(("Setting", "Label", "Type", "Required, or default", "Meaning"), settings)
        + f"\n## Whose contract this is\n\n{kind.contract}\n"
    )


def _methods(kind: Destination) -> str:
    order = ("identify", "track", "page", "screen", "group", "alias")
    return ", ".join(method for method in order if method in kind.methods)


def _names(kind: Destination) -> list[str]:
    return list(dict.fromkeys((kind.name, *kind.previous_names)))


def _type(field: SettingField) -> str:
    kind = f"{field.type}: {', '.join(field.choices)}" if field.choices else field.type
    return f"{kind}, secret" if field.secret else kind


def _default(field: SettingField) -> str:
    return "none" if field.default is None else code(json.dumps(field.default))


def _description(field: SettingField) -> str:
    return f"{field.description} (Not shown in forms.)" if field.hidden else field.description
