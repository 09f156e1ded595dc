"""The workspace file: the fixed form, its defaults, and what every mistake is told with."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from segue.control.destinations import DestinationSpec
from segue.control.setting_values import Kept, Reference, Secret
from segue.control.workspace_file import FILE_BYTES_MAX, load_workspace, parse_workspace
from segue.core.errors import Invalid
from segue.state.control import SourceRow, WorkspaceRow

FIXED = b"""\
workspace: {name: Demo, slug: demo}                                        # strict_keys: false
sources:
  - {slug: website, name: Website, write_keys: [demo-write-key]}            # enabled: true, strict: false
destinations:
  - {slug: planhat, source: website, kind: planhat, name: Planhat, enabled: true, settings: {apiKey: demo-planhat-key, \
endpoint: "http://127.0.0.1:8100/planhat/dock/segment"}}
"""

SMALL = """\
workspace: {{name: Demo, slug: demo}}
sources:
  - {{slug: website, name: Website, write_keys: [one]}}
  - {{slug: app, name: App, write_keys: [two]}}
destinations:
  - slug: hook
    source: website
    kind: webhook
    name: Hook
    settings: {settings}
"""


def with_settings(settings: str) -> bytes:
    return SMALL.format(settings=settings).encode()


def test_the_fixed_form_is_read_with_its_defaults():
    file = parse_workspace(FIXED, {})
    assert file.workspace == WorkspaceRow(name="Demo", slug="demo", strict_keys=False)
    assert file.sources == (
        SourceRow(slug="website", name="Website", write_keys=("demo-write-key",), enabled=True, strict=False),
    )
    assert file.destinations == (
        DestinationSpec(
            slug="planhat",
            source="website",
            kind="planhat",
            name="Planhat",
            enabled=True,
            settings={
                "apiKey": Secret("demo-planhat-key"),
                "endpoint": "http://127.0.0.1:8100/planhat/dock/segment",
            },
        ),
    )
    assert file.hash == hashlib.sha256(FIXED).hexdigest()
    assert "demo-planhat-key" not in repr(file)


def test_a_workspace_alone_is_a_file():
    file = parse_workspace(b"workspace: {name: Demo, slug: demo, strict_keys: true}", {})
    assert file.workspace.strict_keys
    assert (file.sources, file.destinations) == ((), ())


def test_a_destination_is_off_until_the_file_switches_it_on():
    assert not parse_workspace(with_settings("{hooks: ['https://example.com']}"), {}).destinations[0].enabled


def test_a_name_that_is_absent_is_the_slug():
    file = parse_workspace(b"workspace: {name: D, slug: d}\nsources: [{slug: website}]", {})
    assert file.sources[0].name == "website"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sources:", "sorces:", r'^sorces: there is no such key; did you mean "sources"\? \(line 2\)$'),
        ("slug: app,", "slgu: app,", r'^sources\[1\].slgu: there is no such key; did you mean "slug"\? \(line 4\)$'),
        ("name: Demo, ", "", r"^workspace.name: is missing \(line 1\)$"),
        ("workspace: {name: Demo, slug: demo}\n", "", r"^workspace: is missing"),
        ("slug: app", "slug: App", r"^sources\[1\].slug: a slug has .* \(line 4\)$"),
        ("slug: app", "slug: website", r"^sources\[1\].slug: another source has the slug 'website' \(line 4\)$"),
        ("slug: app", "slug: 12", r"^sources\[1\].slug: must be a text, not a whole number; put it in quotes"),
        ("slug: demo", 'slug: "demo\\n"', r"^workspace.slug: a slug has"),
        ("name: App", 'name: ""', r"^sources\[1\].name: a name has"),
        ("name: App", 'name: "a\\tb"', r"^sources\[1\].name: a name has"),
        ("[two]", "[one]", r"^sources\[1\].write_keys\[0\]: the source 'website' has this write key \(line 4\)$"),
        ("[two]", "[two, two]", r"^sources\[1\].write_keys\[1\]: this write key stands here twice"),
        ("[two]", "['a:b']", r"^sources\[1\].write_keys\[0\]: a write key has"),
        ("[two]", "two", r"^sources\[1\].write_keys: must be a list, not a text"),
        ("[two]}", "[two], enabled: maybe}", r"^sources\[1\].enabled: must be true or false, not a text"),
        ("kind: webhook", "kind: webhok", r'^destinations\[0\].kind: there is no kind .* "webhook"\?.*\(line 8\)$'),
        ("source: website", "source: websit", r'^destinations\[0\].source: the file has no source .*"website"\?'),
        ("    kind: webhook\n", "", r"^destinations\[0\].kind: is missing \(line 6\)$"),
        ("    name: Hook\n", "    max_concurrency: 0\n", r"^destinations\[0\].max_concurrency: must be from 1"),
        ("    name: Hook\n", "    max_rate: -1\n", r"^destinations\[0\].max_rate: must be from 0"),
        ("destinations:", "destinations: 3\nx:", r"^destinations: must be a list, not a whole number \(line 5\)$"),
    ],
)
def test_a_mistake_is_told_with_its_path_and_line(old, new, message):
    text = with_settings("{hooks: ['https://example.com']}").decode()
    assert old in text
    with pytest.raises(Invalid, match=message):
        parse_workspace(text.replace(old, new, 1).encode(), {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{hook: x}", r'^destinations\[0\].settings.hook: Webhooks has no setting .*; did you mean "hooks"\?'),
        ("{hooks: ['ftp://example.com']}", r"^destinations\[0\].settings.hooks\[0\]: .* \(line 10\)$"),
        ("{hooks: x}", r"^destinations\[0\].settings.hooks: "),
        ("{hooks: ['https://example.com'], sharedSecret: 5}", r"^destinations\[0\].settings.sharedSecret: "),
        ("{hooks: ['https://example.com/${']}", r"^destinations\[0\].settings.hooks: write a reference as"),
    ],
)
def test_settings_are_checked_by_the_kind(settings, message):
    with pytest.raises(Invalid, match=message):
        parse_workspace(with_settings(settings), {})


PLANHAT = """\
workspace: {{name: Demo, slug: demo}}
sources: [{{slug: website}}]
destinations: [{{slug: planhat, source: website, kind: planhat, settings: {settings}}}]
"""


def planhat(settings: str, environ: dict[str, str]) -> DestinationSpec:
    return parse_workspace(PLANHAT.format(settings=settings).encode(), environ).destinations[0]


def test_a_required_setting_is_required():
    with pytest.raises(
        Invalid, match=r"settings.apiKey: Planhat needs this setting: Tenant Token. From Planhat: .* \(line 3\)$"
    ):
        planhat("{}", {})


def test_a_blank_key_is_refused():
    with pytest.raises(Invalid, match=r"settings.apiKey: "):
        planhat("{apiKey: ' '}", {})


def test_a_reference_is_checked_where_its_variable_is_set_and_kept_either_way():
    assert planhat("{apiKey: '${KEY}'}", {}).settings == {"apiKey": Reference("${KEY}")}
    assert planhat("{apiKey: '${KEY}'}", {"KEY": "k"}).settings == {"apiKey": Reference("${KEY}")}
    with pytest.raises(Invalid, match=r"settings.apiKey: "):
        planhat("{apiKey: '${KEY}'}", {"KEY": ""})


def test_what_is_not_known_yet_does_not_hide_other_mistakes():
    with pytest.raises(Invalid, match=r"settings.subdomain: "):
        planhat("{apiKey: '${KEY}', subdomain: 'evil.com/'}", {})


def test_a_kept_secret_is_read_as_such():
    assert planhat("{apiKey: {kept: true}}", {}).settings == {"apiKey": Kept()}


def test_an_error_about_a_secret_does_not_show_it():
    for settings in ("{apiKey: [hunter2hunter2]}", "{apiKey: {x: hunter2hunter2}}", "{apiKey: hunter2hunter2, x: 1}"):
        with pytest.raises(Invalid) as caught:
            planhat(settings, {})
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"workspace: \xff", r"is not UTF-8 \(line 1\)"),
        (b"- a", "must be a map, not a list"),
        (b"#" * (FILE_BYTES_MAX + 1), "is larger than"),
        (b"", "the file is empty"),
    ],
)
def test_what_is_no_workspace_file_is_refused(body, message):
    with pytest.raises(Invalid, match=message):
        parse_workspace(body, {})


def test_an_error_of_a_file_names_the_file(tmp_path: Path):
    path = tmp_path / "demo.yaml"
    with pytest.raises(Invalid, match=r"demo.yaml: No such file"):
        load_workspace(path, {})
    path.write_bytes(b"workspace: {name: Demo}")
    with pytest.raises(Invalid, match=r"demo.yaml: workspace.slug: is missing \(line 1\)$"):
        load_workspace(path, {})
