"""The settings page and `.env.example`, from `segue.settings`.

Rule: the page and the example file list every setting, in the order of the tree.
"""

from __future__ import annotations

from textwrap import wrap

from segue.settings import SettingDescription, describe_settings
from segue_docs.markdown import code, generated_from, table

_HEAD = """# Settings

Settings are environment variables, read once at the start. One that does not exist or cannot be read stops the
start and is named; an empty one is as good as none. `segue settings` prints the values in effect, those of the
running server where one runs. Options of
[`segue up`](cli.md#segue-up) win over the environment. What you decide about sources and destinations is not here
but in the [workspace file](workspace-file.md).

A duration is written `7d`, `12h`, `1h30m`, `90s` or `500ms`; a size `512MB` (one KB is 1,024 bytes); a flag `true` or
`false`; several addresses are divided by commas.

"""

_EXAMPLE_HEAD = """\
# Every setting of Segue with its default. Uncomment what you change; Segue reads its environment, not this file:
#   set -a; . ./.env; set +a; segue up
# or name it in a systemd unit: EnvironmentFile=/etc/segue/segue.env
"""


def page() -> str:
    """The page."""
    rows = [(code(row.variable), code(row.name), row.kind, _default(row), _text(row)) for row in describe_settings()]
    head = ("Variable", "Name", "Kind", "Default", "What it does")
    return _HEAD + generated_from("segue.settings") + table(head, rows)


def env_example() -> str:
    """The text of `.env.example`."""
    parts = [_EXAMPLE_HEAD]
    for row in describe_settings():
        lines = [f"# {line}" for line in wrap(_text(row), 110)]
        parts.append("\n".join([*lines, f"#{row.variable}={row.default}"]) + "\n")
    return "\n".join(parts)


def _default(row: SettingDescription) -> str:
    return code(row.default) or "unset"


def _text(row: SettingDescription) -> str:
    choices = f" One of: {', '.join(row.choices)}." if row.choices else ""
    return f"{row.title}. {row.description}{choices}"
