"""The reference pages: what the code has is on them."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from segue.cli import segue
from segue.collect.app import _EVENT_ROUTES
from segue.collect.metrics import METRICS as OF_COLLECTOR
from segue.core.destination import setting_fields
from segue.core.reasons import REASONS
from segue.destinations import catalog
from segue.settings import describe_settings
from segue.wiring.metrics import METRICS as OF_INSTANCE
from tests.repo.conftest import ROOT, made_pages

INTERNAL = {
    *("DAY_MS", "AGAIN_MS", "NO_ANSWER_KEPT"),  # a unit, a pause within a second, a marker
}


@pytest.mark.parametrize("setting", describe_settings(), ids=lambda setting: setting.name)
def test_every_setting_is_documented_with_its_default(setting, pages):
    row = next(line for line in pages["reference/settings.md"].splitlines() if f"`{setting.variable}`" in line)
    assert f"`{setting.name}`" in row
    assert f"`{setting.default}`" in row or (not setting.default and "unset" in row)


def test_the_example_of_an_environment_holds_every_setting(pages):
    from segue_docs.settings import env_example

    found = (ROOT / ".env.example").read_text("utf-8")
    assert found == env_example(), "write it again: .venv/bin/python tools/env_example.py"
    for setting in describe_settings():
        assert f"\n#{setting.variable}={setting.default}\n" in found


def test_every_reason_code_is_documented(pages):
    for code in REASONS:
        assert f"| `{code}` |" in pages["reference/error-codes.md"], code


def test_every_code_that_the_collector_answers_is_documented(pages):
    from segue_docs.error_codes import answers

    found = set(answers())
    assert len(found) > 15
    for status, code in found:
        rows = [line for line in pages["reference/error-codes.md"].splitlines() if line.startswith(f"| `{code}` |")]
        assert any(str(status) in row.split("|")[2] for row in rows), (status, code)


def test_every_error_of_a_connection_is_documented(pages):
    text = (ROOT / "src/segue/deliver/easy.py").read_text("utf-8")
    for code in set(re.findall(r'"(E[A-Z]{3,}|ADDRESS_REFUSED)"', text)):
        assert f"| `{code}` |" in pages["reference/error-codes.md"], code


@pytest.mark.parametrize("name", [*OF_INSTANCE, *OF_COLLECTOR])
def test_every_metric_is_documented(name, pages):
    assert f"| `{name}` |" in pages["reference/metrics.md"]


def all_commands():
    """(full name, command) of every command that `--help` shows, groups apart."""
    waiting = [("segue", segue)]
    while waiting:
        name, command = waiting.pop()
        if isinstance(command, click.Group):
            waiting += [(f"{name} {key}", inner) for key, inner in command.commands.items() if not inner.hidden]
        else:
            yield name, command


@pytest.mark.parametrize(("name", "command"), sorted(all_commands(), key=lambda pair: pair[0]))
def test_every_command_and_option_is_documented(name, command, pages):
    section = re.split(r"^## ", pages["reference/cli.md"], flags=re.MULTILINE)
    found = next(text for text in section if text.startswith(f"{name}\n"))
    assert command.help and command.help.split("\n")[0] in found
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help, f"{name} {option.opts[0]} says nothing of itself"
            assert option.opts[-1] in found


@pytest.mark.parametrize("slug", list(catalog()))
def test_every_destination_has_a_page_with_its_settings_and_contract(slug, pages):
    kind, page = catalog()[slug], pages[f"reference/destinations/{slug}.md"]
    assert f"destinations/{slug}.md" in pages["reference/destinations.md"]
    for setting in setting_fields(kind.settings):
        assert f"| `{setting.name}` |" in page
    assert "PROPOSED" in kind.contract
    assert kind.contract in page
    for name in kind.names:
        assert f"`{name}`" in page
    assert kind.key_help in page


@pytest.mark.parametrize("slug", list(catalog()))
def test_how_to_connect_names_every_destination(slug):
    text = (ROOT / "docs/how-to/connect-a-vendor.md").read_text("utf-8")
    assert f"kind: {slug}" in text
    assert f"reference/destinations/{slug}.md" in text


def test_every_bound_of_a_delivery_is_documented(pages):
    from segue_docs.limits import constants_of

    for module, names in constants_of("segue.deliver").items():
        for name in names - INTERNAL:
            assert f"{module}.{name}`" in pages["reference/limits.md"], f"{module}.{name}"


def test_every_route_of_the_collector_is_documented():
    text = (ROOT / "docs/reference/http-api.md").read_text("utf-8")
    for path in _EVENT_ROUTES:
        assert f"`{path}`" in text
    for path in re.findall(r'"(/[a-z]+)": ', (ROOT / "src/segue/wiring/collector.py").read_text("utf-8")):
        assert f"`{path}`" in text


def test_every_sandbox_is_documented():
    from segue.sandbox.app import receivers
    from segue.sandbox.keys import demo_key

    text = (ROOT / "docs/how-to/sandboxes.md").read_text("utf-8")
    for receiver in receivers():
        assert f"`/{receiver.slug}{receiver.inbound}`" in text
        assert f"`{demo_key(receiver.slug)}`" in text


def test_every_page_is_in_the_navigation():
    nav = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    written = {str(path.relative_to(ROOT / "docs")) for path in Path(ROOT / "docs").rglob("*.md")}
    assert set(re.findall(r"[\w/-]+\.md", nav)) == written | set(made_pages())
