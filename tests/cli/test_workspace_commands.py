"""The command line: text out, one line for an error, the right exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .calling import segue as quick

FILE = """\
workspace: {name: Demo, slug: demo}
sources: [{slug: website, name: Website, write_keys: [one]}]
destinations:
  - {slug: planhat, source: website, kind: planhat, name: Planhat, enabled: true, settings: {apiKey: hunter2hunter2}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "demo.yaml"
    path.write_text(FILE)
    return path


def segue(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEGUE_")}
    return subprocess.run(
        [sys.executable, "-m", "segue.cli", *map(str, arguments)],
        capture_output=True, text=True, env={**kept, **environ}, timeout=60, check=False,
    )  # fmt: skip


def succeeded(*arguments: object, **environ: str) -> str:
    done = segue(*arguments, **environ)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_plan_apply_and_export_go_together(tmp_path, file):
    data = tmp_path / "data"
    planned = succeeded("plan", file, "--data", data)
    assert "+ destination planhat" in planned
    assert not data.exists()
    assert succeeded("apply", file, "--data", data) == planned
    assert succeeded("plan", file, "--data", data) == "No changes.\n"
    exported = succeeded("export", "--data", data)
    assert yaml.safe_load(exported)["destinations"][0]["settings"] == {"apiKey": {"kept": True}}
    file.write_text(exported)
    assert succeeded("apply", file, "--data", data) == "No changes.\n"
    assert {path.stat().st_mode & 0o077 for path in (data, *data.rglob("*"))} == {0}


def test_an_error_is_one_line_and_no_traceback(tmp_path, file):
    file.write_text(FILE.replace("kind: planhat", "kind: planhatt"))
    done = segue("apply", file, "--data", tmp_path / "data")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    assert "destinations[0].kind" in done.stderr and "(line 4)" in done.stderr
    assert not (tmp_path / "data").exists()


HEAD = "workspace: {name: Demo, slug: demo}\nsources: [{slug: website, write_keys: [one]}]\ndestinations:\n"
HOOK = "  - {slug: a, source: website, kind: planhat, settings: {apiKey: hunter2hunter2}}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("workspace:\n\tname: x", "is not valid YAML: a tab stands where blanks are needed (line 2, column 1)"),
        ("workspace: {name: Demo", "is not valid YAML: "),
        ("", "the file is empty"),
        ("- a", "must be a map, not a list (line 1)"),
        ("workspace: {name: Demo, slug: demo}\nsources:", "sources: must be a list, and nothing stands there (line 2)"),
        (HEAD + HOOK + HOOK, "destinations[1].slug: another destination has the slug 'a' (line 5)"),
        (
            HEAD + HOOK.replace("kind", "enbled: true, kind"),
            'enbled: there is no such key; did you mean "enabled"? (line 4)',
        ),
        (HEAD + HOOK.replace("kind", "enabled: maybe, kind"), "enabled: must be true or false, not a text (line 4)"),
        (
            HEAD + HOOK.replace("hunter2hunter2", "12345"),
            "settings.apiKey: must be a text, not a whole number; put it in",
        ),
        (
            HEAD + HOOK.replace("apiKey", "apikey"),
            "settings.apikey: Planhat has no setting 'apikey'; did you mean \"apiKey\"?",
        ),
        (
            HEAD + HOOK.replace("2}}", "2, endpoint: ftp://x}}"),
            "must be an address that begins with http:// or https://",
        ),
        (
            HEAD + HOOK.replace("2}}", "2, subdomain: 'https://api'}}"),
            "the form that is asked for: subdomain. Your Planhat API subdomain. Another one than those listed may be",
        ),
        (
            HEAD + HOOK.replace("planhat", "pointillist").replace("hunter2hunter2", "'hunter2 '"),
            "the form that is asked for: API Token. Your Pointillist API token, from",
        ),
        (
            HEAD + HOOK.replace("planhat", "plotline"),
            "settings.endpoint: Plotline needs this setting: Endpoint. The address",
        ),
        (
            HEAD + HOOK.replace("hunter2hunter2", "{kept: true}"),
            "none is stored; give the secret (line 4)",
        ),
    ],
)
@pytest.mark.parametrize("word", ["plan", "apply"])
def test_a_mistake_in_the_file_is_one_line_with_its_place(tmp_path, word, text, words):
    file = tmp_path / "my file.yaml"
    file.write_text(text)
    line = quick(word, file, "--data", tmp_path / "data").line
    assert line.startswith(f"{file}: ") and words in line
    assert "hunter2" not in line
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("word", ["plan", "apply"])
def test_a_variable_that_is_not_set_is_told_with_where_it_has_to_be(tmp_path, word):
    file = tmp_path / "file.yaml"
    file.write_text(HEAD + HOOK.replace("hunter2hunter2", '"${KEY_OF_NOBODY}"'))
    done = quick(word, file, "--data", tmp_path / "data")
    assert (done.code, done.err) == (0, "")
    (line,) = [line for line in done.out.splitlines() if line.startswith("!")]
    assert line.startswith("! ${KEY_OF_NOBODY} of a is not set here: it must be in the environment of `segue up`")
    assert "!" not in quick(word, file, "--data", tmp_path / "data", KEY_OF_NOBODY="hunter2hunter2").out


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    for name, words in (("none.yaml", "No such file or directory"), (".", "Is a directory")):
        assert quick("plan", tmp_path / name, "--data", tmp_path).line == f"{tmp_path / name}: {words}"


@pytest.mark.parametrize("arguments", [["nothing"], ["plan"], ["apply", "a", "b"], ["export", "--nothing"]])
def test_wrong_usage_is_exit_code_2(arguments):
    done = segue(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_an_unknown_variable_stops_every_command(tmp_path, file):
    done = segue("plan", file, "--data", tmp_path, SEGUE_LOG_KEP="7d")
    assert done.returncode == 1
    assert 'did you mean "SEGUE_LOG_KEEP"?' in done.stderr


def test_export_without_an_instance_says_so_and_makes_none(tmp_path):
    done = segue("export", "--data", tmp_path / "data")
    assert done.returncode == 1
    assert str(tmp_path / "data") in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_cannot_be_made_is_one_line(tmp_path, file):
    done = segue("apply", file, "--data", file / "data")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def test_settings_show_the_value_in_effect(tmp_path):
    rows = {row["name"]: row for row in json.loads(succeeded("settings", "--json", SEGUE_LOG_KEEP="3d"))}
    assert (rows["log.keep"]["value"], rows["log.keep"]["default"]) == ("3d", "7d")
    text = succeeded("settings", "--data", tmp_path, SEGUE_SECRET_KEY="hunter2")
    assert "hunter2" not in text
    assert f"SEGUE_DATA={tmp_path}" in text


def test_settings_are_those_of_the_running_server_and_say_so(make, tmp_path):
    instance = make(SEGUE_LOG_KEEP="3d", SEGUE_SECRET_KEY="").start("--host", "localhost")
    data = ("--data", instance.data)
    text = quick("settings", *data, SEGUE_LOG_KEEP="9d").out
    assert text.startswith("# of the running server\n")
    rows = {row["name"]: row for row in quick("settings", "--json", *data, SEGUE_LOG_KEEP="9d").json}
    expected = {
        "log.keep": "3d", "host": "localhost", "port": str(instance.port), "sandbox.port": str(instance.sandbox_port),
    }  # fmt: skip
    assert {name: rows[name]["value"] for name in expected} == expected
    assert {row["of"] for row in rows.values()} == {"server"}
    instance.terminate()
    assert quick("settings", *data).out.startswith("# of this shell: no server runs here\n")
    rows = {row["name"]: row for row in quick("settings", "--json", *data, SEGUE_LOG_KEEP="9d").json}
    assert (rows["log.keep"]["value"], rows["log.keep"]["of"]) == ("9d", "shell")


def test_schema_prints_json():
    assert json.loads(succeeded("schema", "--data", "anywhere"))["title"] == "Segue workspace"


def test_help_loads_nothing_heavy():
    code = "import sys, segue.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"yaml", "cryptography", "msgspec", "asyncio", "sqlite3", "segue.destinations"} & set(loaded)
