"""Commands about the workspace as text: `plan`, `apply`, `export`, `schema`, `settings`.

Rule: they work on a running instance as on one that is stopped; a running one is told and follows within a second.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segue.cli.group import data_option, instance_of, open_control, segue, settings_of

if TYPE_CHECKING:
    from segue.control.plan import Plan
    from segue.control.workspace_file import WorkspaceFile
    from segue.settings import Settings
    from segue.wiring.instance import Instance


@segue.command()
@click.argument("file", type=click.Path(path_type=Path))
@data_option
def plan(file: Path, data: str | None) -> None:
    """Show what `apply FILE` would change, and change nothing."""
    from segue.control.workspace_file import load_workspace

    wanted = load_workspace(file, os.environ)
    settings = settings_of(data)
    _say(_planned(file, wanted, instance_of(settings), settings), wanted)


@segue.command()
@click.argument("file", type=click.Path(path_type=Path))
@data_option
def apply(file: Path, data: str | None) -> None:
    """Make the workspace say what FILE says.

    A running server follows at once.
    """
    from segue.control import workspace
    from segue.control.poke import poke
    from segue.control.secrets import Secrets
    from segue.control.workspace_file import errors_of, load_workspace
    from segue.log.sqlite_reader import SQLiteLogReader

    wanted = load_workspace(file, os.environ)
    settings = settings_of(data)
    instance = instance_of(settings)
    if not instance.control.exists():
        _planned(file, wanted, instance, settings)  # what cannot be applied makes no instance
    instance.create()
    with open_control(instance) as store, closing(SQLiteLogReader(instance.log)) as log:
        secrets = Secrets.open(instance.folder, settings.secret_key or "")
        with errors_of(file):
            done = workspace.apply(store, wanted, secrets, log.ends)
    if not done.empty:
        poke(instance.folder)
    _say(done, wanted)


@segue.command()
@data_option
def export(data: str | None) -> None:
    """Print the workspace as a file; secrets as {kept: true}."""
    from segue.control import workspace

    instance = instance_of(settings_of(data))
    instance.require()
    with open_control(instance) as store:
        click.echo(workspace.export(store.snapshot()), nl=False)


@segue.command()
@data_option
def schema(data: str | None) -> None:
    """Print the JSON Schema of workspace files, for editors."""
    from segue.control.workspace_schema import json_schema_text

    click.echo(json_schema_text(), nl=False)


@segue.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def settings(as_json: bool, data: str | None) -> None:
    """List every setting of the instance.

    Each with its variable, the value in effect, the default and what it means. The values are those of the running
    server or, where none runs, those that this shell would start one with.
    """
    from segue.settings import describe_settings

    ours = settings_of(data)
    servers = instance_of(ours).settings_in_effect()
    rows = [
        {
            "name": row.name,
            "variable": row.variable,
            "value": row.value_in(ours) if servers is None else servers.get(row.name, row.default),
            "of": "shell" if servers is None else "server",
            "default": row.default,
            "description": row.description,
        }
        for row in describe_settings()
    ]
    if as_json:
        import json

        click.echo(json.dumps(rows, indent=2))
        return
    click.echo("# of this shell: no server runs here" if servers is None else "# of the running server")
    for row in rows:
        mark = "" if row["value"] == row["default"] else f"   (default: {row['default'] or 'unset'})"
        click.echo(f"{row['variable']}={row['value']}{mark}\n    {row['name']}: {row['description']}")


def _planned(file: Path, wanted: WorkspaceFile, instance: Instance, settings: Settings) -> Plan:
    """What would change, be there an instance or not. Raises Invalid naming the file."""
    from segue.control.plan import make_plan
    from segue.control.secrets import Secrets
    from segue.control.workspace_file import errors_of
    from segue.state.control import Control

    secrets, control = Secrets.passing(), Control()
    if instance.control.exists():
        with open_control(instance) as store:
            secrets = Secrets.open(instance.folder, settings.secret_key or "")
            control = store.snapshot()
    with errors_of(file):
        return make_plan(control, wanted, secrets)


def _say(done: Plan, wanted: WorkspaceFile) -> None:
    """The plan, what is often not meant so, and what the file leaves to an environment that has it not."""
    from segue.control.plan import unset_variables

    click.echo(done.text(), nl=False)
    for line in (*wanted.cautions, *unset_variables(wanted, os.environ)):
        click.echo(line)
