"""What is shipped: dependencies, locks, versions, examples; and nothing of the machine it was made on."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import yaml

import segue
from segue.cli import segue as command_line
from segue.collect.metrics import METRICS as OF_COLLECTOR
from segue.control.workspace_file import parse_workspace
from segue.destinations import catalog
from segue.wiring.metrics import METRICS as OF_INSTANCE
from tests.repo.conftest import ROOT, tracked_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCKS = ("build.txt", "runtime.txt", "test.txt")


def normal(name: str) -> str:
    """A package's name as an index compares it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~! ;]", name)[0]).lower()


def wanted(file: str) -> set[str]:
    """The packages that a file of ranges asks for."""
    lines = (ROOT / "requirements" / file).read_text("utf-8").splitlines()
    return {normal(line) for line in lines if line and not line.startswith(("#", "-"))}


def runtime() -> set[str]:
    """The packages that Segue needs to run."""
    return {normal(name) for name in PROJECT["dependencies"]}


def locked(file: str) -> dict[str, str]:
    """The packages of a lock with the text that locks each."""
    text = (ROOT / "requirements" / file).read_text("utf-8")
    entries = re.split(r"\n(?=[A-Za-z0-9])", text.partition("\n#    make lock\n")[2])
    return {normal(entry): entry for entry in entries if entry.strip()}


def test_every_dependency_has_its_reason_and_no_other_has():
    text = (ROOT / "docs/internals/dependencies.md").read_text("utf-8")
    told = {normal(name) for name in re.findall(r"^\| ([\w.-]+) \| \S", text, re.MULTILINE)}
    assert told - {"package", "-"} == runtime() | wanted("build.in") | wanted("test.in")


def test_every_dependency_is_locked_with_hashes():
    assert runtime() <= set(locked("runtime.txt"))
    assert wanted("build.in") <= set(locked("build.txt"))
    assert wanted("test.in") <= set(locked("test.txt"))
    for file in LOCKS:
        for name, entry in locked(file).items():
            assert "==" in entry.splitlines()[0], f"{file}: {name}"
            assert "--hash=sha256:" in entry, f"{file}: {name}"


def test_no_lock_names_a_host():
    for file in LOCKS:
        text = (ROOT / "requirements" / file).read_text("utf-8")
        assert "://" not in text
        assert "index-url" not in text
        assert "find-links" not in text


def test_the_version_is_the_same_everywhere():
    assert PROJECT["version"] == segue.__version__
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "## [Unreleased]" in changes
    assert PROJECT["version"] in changes


def test_the_changelog_keeps_its_form():
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    kinds = set(re.findall(r"^### (.*)$", changes, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_example_workspace_can_be_applied_and_holds_every_kind():
    file = parse_workspace((ROOT / "examples/workspace.yaml").read_bytes(), {})
    assert {spec.kind for spec in file.destinations} == set(catalog())


def test_the_example_workspace_holds_no_secret():
    text = (ROOT / "examples/workspace.yaml").read_text("utf-8")
    for value in re.findall(r"(?:apiKey|sharedSecret): *\"?([^\",}\n]+)", text):
        assert re.fullmatch(r"\$\{[A-Z_]+\}", value + "}" if not value.endswith("}") else value)


def test_the_alert_rules_name_metrics_that_exist():
    rules = yaml.safe_load((ROOT / "examples/prometheus/segue-alerts.yml").read_text("utf-8"))
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    named = {name for text in expressions for name in re.findall(r"segue_\w+", text)}
    assert named and named <= {*OF_INSTANCE, *OF_COLLECTOR}
    told = (ROOT / "docs/how-to/monitor.md").read_text("utf-8")
    for rule in rules["groups"][0]["rules"]:
        assert f"`{rule['alert']}`" in told
    yaml.safe_load((ROOT / "examples/prometheus/prometheus.yml").read_text("utf-8"))


def test_the_unit_calls_commands_that_exist():
    unit = (ROOT / "examples/systemd/segue.service").read_text("utf-8")
    calls = re.findall(r"^Exec\w+=\S+/segue (\w+) (.*)$", unit, re.MULTILINE)
    assert [name for name, _ in calls] == ["up", "apply"]
    for name, rest in calls:
        options = {text for option in command_line.commands[name].params for text in option.opts}
        assert {word for word in rest.split() if word.startswith("--")} <= options


def test_no_file_names_a_path_of_this_machine_or_a_host_of_a_registry():
    hosts = [
        ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"))
    ]
    given = (os.environ.get(name, "") for name in ("PIP_INDEX_URL", "UV_INDEX_URL", "npm_config_registry"))
    hosts += [host for host in (urlsplit(url).hostname for url in given) if host]
    home = re.compile(r"/(?:home|Users)/\w+/")
    for path in tracked_files():
        text = (ROOT / path).read_bytes().decode("utf-8", "replace")
        assert str(ROOT) not in text or len(ROOT.parts) < 3, path
        assert not home.search(text), path
        for host in hosts:
            assert host not in text, f"{path}: {host}"


def test_the_image_of_the_readme_is_in_the_repository():
    text = (ROOT / "README.md").read_text("utf-8")
    (image,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert Path(ROOT / image).read_text("utf-8").startswith("<svg")
