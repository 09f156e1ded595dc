"""The JSON Schema of the workspace file, for editors.

Rule: it is made from the Structs that read the file and from the catalog, so that it cannot lag behind them.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from segue.control.workspace_file import FileEntry
from segue.core.destination import Destination, Place, setting_fields
from segue.destinations import catalog

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEFINITIONS = "#/$defs/"

REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"}
KEPT = {
    "type": "object",
    "properties": {"kept": {"const": True}},
    "required": ["kept"],
    "additionalProperties": False,
}


def json_schema() -> dict[str, Any]:
    """The schema: the fixed form, and for each kind of destination its own settings."""
    kinds = catalog()
    (top, *settings), definitions = msgspec.json.schema_components(
        [FileEntry, *(kind.settings for kind in kinds.values())], ref_template=DEFINITIONS + "{name}"
    )
    destination = definitions["DestinationEntry"]
    destination["properties"]["kind"]["enum"] = sorted(kinds)
    destination["allOf"] = [
        {
            "if": {"properties": {"kind": {"const": slug}}, "required": ["kind"]},
            "then": {"properties": {"settings": {"$ref": reference["$ref"]}}},
        }
        for slug, reference in zip(kinds, settings, strict=True)
    ]
    for kind, reference in zip(kinds.values(), settings, strict=True):
        _admit_stand_ins(kind, _followed(reference, definitions), definitions)
    return {"$schema": DIALECT, "title": "Segue workspace", **top, "$defs": definitions}


def json_schema_text() -> str:
    """The schema as `segue schema` prints it."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"


def _admit_stand_ins(kind: Destination, schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    # Each setting may be a reference to the environment, a secret also `{kept: true}`.
    for entry in setting_fields(kind.settings):
        for place in entry.secret_places:
            _admit_kept(schema, (entry.name, *place), definitions)
        _admit(schema["properties"], entry.name, REFERENCE)


def _admit_kept(schema: dict[str, Any], place: Place, definitions: dict[str, Any]) -> None:
    schema = _followed(schema, definitions)
    for choice in schema.get("anyOf", ()):
        _admit_kept(choice, place, definitions)
    name, below = place[0], place[1:]
    parent = schema if name == "*" else schema.get("properties", {})
    for key in ("items", "additionalProperties") if name == "*" else (name,):
        if isinstance(parent.get(key), dict):
            if below:
                _admit_kept(parent[key], below, definitions)
            else:
                _admit(parent, key, KEPT)


def _admit(parent: dict[str, Any], key: str, choice: dict[str, Any]) -> None:
    former = parent[key]
    choices = former["anyOf"] if set(former) == {"anyOf"} else [former]
    if choice not in choices:
        parent[key] = {"anyOf": [*choices, choice]}


def _followed(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = definitions[schema["$ref"].removeprefix(DEFINITIONS)] if "$ref" in schema else schema
    return found
