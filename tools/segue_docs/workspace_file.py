"""The page about the workspace file, from its JSON Schema.

Rule: every key of the schema is on the page with its type, its default and its words.
"""

from __future__ import annotations

import json
from typing import Any

from segue.control.workspace_schema import json_schema
from segue_docs.markdown import block, code, generated_from, table

_HEAD = """# Workspace file

Your workspace as text: YAML, read strictly. An unknown key, a duplicate key or a wrong type is refused with its path
and line; a file is applied whole or not at all. `segue plan FILE` shows the difference, `segue apply FILE` makes it,
`segue export` prints it back. A running instance follows within a second.

```yaml
workspace: {name: Shop, slug: shop}
sources:
  - {slug: website, name: Website, write_keys: [wk_website_1]}
destinations:
  - slug: planhat
    source: website
    kind: planhat
    enabled: true
    settings: {apiKey: "${PLANHAT_TOKEN}", subdomain: api-eu}
spaces:
  - slug: prod
    sources: [website]
    computed_traits:
      - {name: Orders, definition: "event('Order Completed').count()", destinations: [planhat]}
    audiences:
      - name: Recent buyers
        definition: "event('Order Completed').within(30 days).count() >= 1"
        destinations: [{slug: planhat, track: true, sync: 6 hours}]
```

- `${NAME}` in a setting is a reference to the server's environment: it is stored as a reference and read when it is
  used. `$${` is a literal `${`.
- `{kept: true}` stands for a secret that is stored already. `export` prints it for every secret; `apply` refuses it
  where nothing is stored. In an entry of a list it stands for the secret of the stored entry that says the same
  otherwise: the headers of an address are not kept for another one.
- A destination that changes its `source` or `kind` is deleted and created anew.
- What the file does not name is deleted. `plan` shows it. An audience or computed trait that is left out is switched
  off and deleted in one; profiles keep its last value as a trait.
- A key of an audience or computed trait is made from its name (`Recent buyers` gives `recent_buyers`) or said by
  `key`. It is given once in a space, also where its owner is deleted. Another name without `key` is another audience;
  to rename one, write its `key` beside the new name. `export` always writes it.
- A mistake in a definition is told with line and column inside the definition, and the line of the file. `plan` and
  `apply` point out what is allowed and often not meant, such as a date without a time zone.
- `sync` is `realtime`, or a time from `1 minute` to `24 hours` in whole minutes or hours: then a destination gets only
  the net change since the last time. A destination's own `sync` goes before the one beside `destinations`.

"""

_TITLES = {
    "FileEntry": "Top level",
    "WorkspaceEntry": "workspace",
    "SourceEntry": "sources",
    "DestinationEntry": "destinations",
    "SpaceEntry": "spaces",
    "IdentityEntry": "identity",
    "IdentifierEntry": "identifiers",
    "ComputationEntry": "Audience or trait",
    "ConnectionEntry": "Connection",
}


def page() -> str:
    """The page."""
    schema = json_schema()
    parts = [_HEAD, generated_from("segue.control.workspace_file", "segue.control.workspace_schema")]
    for name, title in _TITLES.items():
        definition = schema["$defs"][name]
        required = definition.get("required", [])
        rows = [
            (code(key), _type(value), "yes" if key in required else _default(value), value.get("description", ""))
            for key, value in definition["properties"].items()
        ]
        parts.append(f"## {title}\n\n" + table(("Key", "Type", "Required, or default", "Meaning"), rows) + "\n")
    parts.append(
        "The settings of each kind stand on the page of that kind: [Destinations](destinations.md). What the\n"
        "rules of a space mean: [Identity rules](../concepts/identity-rules.md).\n\n"
        "## JSON Schema\n\n`segue schema` prints it; an editor that knows YAML completes and checks with it.\n\n"
        '??? note "The schema"\n\n'
    )
    text = block(json.dumps(schema, indent=1, sort_keys=True), "json")
    parts.append("".join(f"    {line}\n" for line in text.splitlines()))
    return "".join(parts)


def _type(value: dict[str, Any]) -> str:
    if "enum" in value:
        return ", ".join(code(choice) for choice in value["enum"])
    if "anyOf" in value:
        return " or ".join(_type(choice) for choice in value["anyOf"])
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        title = _TITLES.get(name, name)
        return f"[{title}](#{title.lower().replace(' ', '-')})"
    if value.get("type") == "array":
        return f"list of {_type(value['items'])}"
    return f"{value.get('type', '')} {code(value.get('pattern', ''))}".strip()


def _default(value: dict[str, Any]) -> str:
    return code(json.dumps(value["default"])) if "default" in value else ""
