"""How one finds the way: help, wrong words, options in the wrong place, arguments that are no text."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from segue.cli.group import ORDER
from segue.cli.group import segue as command

from ..instance.running import environment
from .calling import HERE, process, segue, succeeded


def test_no_arguments_show_the_help():
    said = segue()
    assert said.code == 2
    assert "Usage: segue" in said.err and "up " in said.err


def test_every_command_of_the_help_has_a_whole_sentence_in_the_order_of_use():
    listed = succeeded("--help").out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(ORDER)
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)
    assert all(len(line) <= 80 for line in listed)


def test_help_shows_what_help_behind_a_command_shows():
    assert succeeded("help").out == succeeded("--help").out
    assert succeeded("help", "replay").out == succeeded("replay", "--help").out
    assert succeeded("help", "destinations", "test").out == succeeded("destinations", "test", "--help").out
    assert process("destinations", "test", "-h").out.startswith("Usage: segue destinations test")
    assert "No such command 'destroy'" in segue("help", "destroy").err


def leaves(group: click.Group, *above: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its words."""
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from leaves(found, *above, name)
        elif not found.hidden:
            yield " ".join([*above, name]), found


@pytest.mark.parametrize("words", sorted(dict(leaves(command))))
def test_every_command_takes_a_data_folder(words):
    assert "--data" in {name for option in dict(leaves(command))[words].params for name in option.opts}


@pytest.mark.parametrize("name", sorted(command.commands))
def test_every_command_has_help(name):
    assert f"Usage: segue {name}" in succeeded(name, "--help").out


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["plan"], ["apply", "a", "b"], ["export", "--nothing"], ["up", "x"]]
)
def test_wrong_usage_is_exit_code_2_and_names_the_help(arguments):
    said = segue(*arguments)
    assert said.code == 2
    assert "--help' for help" in said.err


def test_a_misspelt_command_gets_a_suggestion():
    assert "Did you mean 'status'?" in segue("staus").err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "x", "status"], "--data stands after the command, as in: segue COMMAND --data ..."),
        (["--port", "1", "up"], "--port stands after the command"),
        (["destinations", "--data", "x"], "as in: segue destinations COMMAND --data ..."),
    ],
)
def test_an_option_before_its_command_is_told_where_it_belongs(arguments, words):
    said = segue(*arguments)
    assert said.code == 2
    assert words in said.err


def test_a_misspelt_setting_stops_every_command_and_gets_a_suggestion(tmp_path):
    said = segue("status", "--data", tmp_path, SEGUE_LOG_KEP="7d")
    assert said.line == 'SEGUE_LOG_KEP: there is no such setting; did you mean "SEGUE_LOG_KEEP"?'


def test_an_argument_that_is_not_utf_8_is_one_line(tmp_path):
    bad = os.fsdecode(b"\xff")
    for arguments in (["up", "--data", tmp_path / bad], ["apply", tmp_path / bad, "--data", tmp_path]):
        said = process(*arguments)
        assert said.code == 1
        assert said.err.count("\n") == 1


def test_output_into_a_pipe_that_nobody_reads_is_no_error():
    for words in ("settings", "schema", "help"):
        running = subprocess.Popen(
            [*HERE, words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
        )
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        assert (running.stderr.read(), running.wait(timeout=30)) == ("", 0)
        running.stderr.close()


def test_what_the_terminal_cannot_show_is_shown_by_its_number(tmp_path):
    file = tmp_path / "file.yaml"
    file.write_text("workspace: {name: Größe 🎉, slug: demo}\n")
    said = process("plan", file, "--data", tmp_path / "none", PYTHONIOENCODING="latin-1")
    assert said.code == 0
    assert "\\U0001f389" in said.out


def test_bench_hands_on_its_rows_and_its_folder_and_leaves_the_folder_as_it_was(tmp_path):
    said = process("bench", "unheard-of", "--data", tmp_path / "disk")
    assert (said.code, "there is no row unheard-of" in said.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_bench_outside_a_checkout_says_where_it_is(tmp_path):
    # The package alone, as `pip install` leaves it.
    import segue as package

    (tmp_path / "lib" / "site").mkdir(parents=True)
    (tmp_path / "lib" / "site" / "segue").symlink_to(Path(package.__file__).parent)
    done = subprocess.run(
        [*HERE[:1], "-c", "from segue.cli import main; main()", "bench"], capture_output=True, text=True, timeout=30,
        env=environment(PYTHONPATH=str(tmp_path / "lib" / "site")), cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "Error: the benchmark is part of the repository: clone it and run `make bench`\n"
