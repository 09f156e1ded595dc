"""The JSON Schema: the fixed form, every kind, and the stand-ins for secrets."""

from __future__ import annotations

import json
import re

from segue.control.workspace_schema import DEFINITIONS, json_schema, json_schema_text
from segue.core.destination import setting_fields
from segue.destinations import catalog

SCHEMA = json_schema()


def definition(reference: dict[str, str]) -> dict:
    return SCHEMA["$defs"][reference["$ref"].removeprefix(DEFINITIONS)]


def test_it_holds_the_fixed_form():
    form = definition(SCHEMA)
    assert set(form["properties"]) == {"workspace", "sources", "destinations", "spaces"}
    assert form["required"] == ["workspace"]
    assert form["additionalProperties"] is False
    source = SCHEMA["$defs"]["SourceEntry"]["properties"]
    assert (source["enabled"]["default"], source["strict"]["default"]) == (True, False)
    assert SCHEMA["$defs"]["WorkspaceEntry"]["properties"]["strict_keys"]["default"] is False
    assert re.fullmatch(source["slug"]["pattern"], "website")


def test_every_kind_has_its_settings_with_what_may_stand_for_them():
    destination = SCHEMA["$defs"]["DestinationEntry"]
    assert destination["properties"]["kind"]["enum"] == sorted(catalog())
    branches = {branch["if"]["properties"]["kind"]["const"]: branch["then"] for branch in destination["allOf"]}
    assert branches.keys() == catalog().keys()
    for slug, kind in catalog().items():
        properties = definition(branches[slug]["properties"]["settings"])["properties"]
        for field in setting_fields(kind.settings):
            stand_ins = [choice.get("properties", {}) for choice in properties[field.name]["anyOf"]]
            assert ({"kept": {"const": True}} in stand_ins) == field.secret


def test_a_secret_inside_a_setting_may_be_kept_too():
    headers = SCHEMA["$defs"]["Hook"]["properties"]["headers"]["anyOf"]
    assert {"kept": {"const": True}} in [choice.get("properties") for choice in headers]
    assert "anyOf" not in SCHEMA["$defs"]["Hook"]["properties"]["hook"]


def test_every_reference_leads_somewhere():
    names = re.findall(r'"\$ref": "#/\$defs/([^"]+)"', json_schema_text())
    assert set(names) <= set(SCHEMA["$defs"])
    assert json.loads(json_schema_text()) == json.loads(json.dumps(SCHEMA))
