"""The command line page, from the click commands themselves.

Rule: every command and option that `segue` has is on the page, hidden ones apart.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from segue.cli import segue
from segue_docs.markdown import block, code, generated_from, table

_HEAD = """# Command line

In a checkout `segue` is `.venv/bin/segue`. Every command finds its instance by `--data DIR`, given after the command,
and works while the instance runs. An error is one line on stderr and exit code 1, but for the
mistakes of a definition, each of which is shown at its place; wrong usage is 2.

"""


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups before what they hold."""
    yield from _below("segue", segue)


def page() -> str:
    """The page."""
    parts = [_HEAD, generated_from("segue.cli")]
    for name, command in commands():
        if command is not segue:
            parts.append(_section(name, command))
    return "".join(parts)


def _below(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for key in sorted(command.commands):
            if not command.commands[key].hidden:
                yield from _below(f"{name} {key}", command.commands[key])


def _section(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    text = f"## {name}\n\n{(command.help or '').strip()}\n\n" + block(f"{name} {usage}", "sh") + "\n"
    rows = [_row(option) for option in command.params if isinstance(option, click.Option) and not option.hidden]
    return text + (table(("Option", "Meaning"), rows) + "\n" if rows else "")


def _row(option: click.Option) -> tuple[str, str]:
    value = "" if option.is_flag else f" {option.metavar or option.type.name.upper()}"
    return code(", ".join(option.opts) + value), option.help or ""
