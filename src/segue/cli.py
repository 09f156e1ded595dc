"""The command line: `segue COMMAND ... --data DIR`.

Rule: a command is thin; what it does stands in `control` or `wiring`, imported only when the command runs. An
error of ours is one line on stderr and exit code 1, wrong usage is 2, and neither is a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from segue import __version__
from segue.core.errors import SegueError

if TYPE_CHECKING:
    from segue.settings import Settings
    from segue.state.control import ControlStore
    from segue.wiring.instance import Instance

Command = TypeVar("Command", bound=Callable[..., Any])


class OneLineErrors(click.Group):
    """A group of commands whose errors are told in one line."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command. What Segue or the system refuses becomes one line on stderr."""
        try:
            return super().invoke(context)
        except SegueError as error:
            raise click.ClickException(_one_line(str(error))) from error
        except BrokenPipeError:
            # Whoever read our output has gone, as `head` does; the rest of it has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            context.exit(0)
        except OSError as error:
            raise click.ClickException(_one_line(str(error))) from error


def data_option(command: Command) -> Command:
    """`--data DIR`: which instance. It stands after the command."""
    return click.option(
        "--data",
        metavar="DIR",
        default=None,
        help="The instance's data folder. Default: SEGUE_DATA, else ./.segue.",
    )(command)


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="segue", message="%(prog)s %(version)s")
def segue() -> None:
    """Collect customer events with the Segment Spec, and deliver them."""


@segue.command()
@click.option("--host", metavar="H", default=None, help="The address to listen on. Default: 127.0.0.1.")
@click.option("--port", type=int, default=None, help="The port to listen on. Default: 8000.")
@click.option("--workspace", metavar="FILE", default=None, help="Apply this workspace file where it has changed.")
@click.option("--demo", is_flag=True, help="Run the sandboxes and, without --workspace, a workspace that uses them.")
@click.option("--sandbox-port", type=int, default=None, help="Run the sandboxes on this port. With --demo: 8100.")
@click.option("--single", is_flag=True, help="Collector and worker in one process.")
@data_option
def up(
    host: str | None,
    port: int | None,
    workspace: str | None,
    demo: bool,
    sandbox_port: int | None,
    single: bool,
    data: str | None,
) -> None:
    """Run Segue here until Ctrl-C."""
    from segue.settings import SANDBOX_PORT
    from segue.wiring.options import Options
    from segue.wiring.running import run_in_foreground

    settings = settings_of(data, host=host, port=port, workspace=workspace, sandbox_port=sandbox_port)
    options = Options(
        data=settings.data,
        host=settings.host,
        port=settings.port,
        workspace=settings.workspace,
        demo=demo,
        sandbox_port=SANDBOX_PORT if demo and settings.sandbox.port is None else settings.sandbox.port,
        single=single,
    )
    sys.exit(run_in_foreground(options, click.echo))


@segue.command()
@click.argument("file", type=click.Path(path_type=Path))
@data_option
def plan(file: Path, data: str | None) -> None:
    """Show what `apply FILE` would change, and change nothing."""
    from segue.control.plan import make_plan
    from segue.control.secrets import Secrets
    from segue.control.workspace_file import load_workspace
    from segue.state.control import Control

    wanted = load_workspace(file, os.environ)
    settings = settings_of(data)
    instance = instance_of(settings)
    if instance.control.exists():
        with open_control(instance) as store:
            secrets = Secrets.open(instance.folder, settings.secret_key or "")
            found = make_plan(store.snapshot(), wanted, secrets)
    else:
        found = make_plan(Control(), wanted, Secrets.passing())
    click.echo(found.text(), nl=False)


@segue.command()
@click.argument("file", type=click.Path(path_type=Path))
@data_option
def apply(file: Path, data: str | None) -> None:
    """Make the workspace say what FILE says; a running server follows at once."""
    from segue.control import workspace
    from segue.control.poke import poke
    from segue.control.secrets import Secrets
    from segue.control.workspace_file import load_workspace
    from segue.log.sqlite_reader import SQLiteLogReader

    wanted = load_workspace(file, os.environ)
    settings = settings_of(data)
    instance = instance_of(settings)
    instance.create()
    with open_control(instance) as store, closing(SQLiteLogReader(instance.log)) as log:
        secrets = Secrets.open(instance.folder, settings.secret_key or "")
        done = workspace.apply(store, wanted, secrets, log.ends)
    if not done.empty:
        poke(instance.folder)
    click.echo(done.text(), nl=False)


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
    """Print the JSON Schema of the workspace file, for editors."""
    from segue.control.workspace_schema import json_schema_text

    click.echo(json_schema_text(), nl=False)


@segue.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_option
def settings(as_json: bool, data: str | None) -> None:
    """List every setting of the instance: variable, value in effect, default, meaning."""
    from segue.settings import describe_settings

    in_effect = settings_of(data)
    rows = [
        {
            "name": row.name,
            "variable": row.variable,
            "value": row.value_in(in_effect),
            "default": row.default,
            "description": row.description,
        }
        for row in describe_settings()
    ]
    if as_json:
        import json

        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        mark = "" if row["value"] == row["default"] else f"   (default: {row['default'] or 'unset'})"
        click.echo(f"{row['variable']}={row['value']}{mark}\n    {row['name']}: {row['description']}")


def settings_of(data: str | None, **given: str | int | None) -> Settings:
    """The settings of the environment, then those that the command line gives by name (`sandbox_port`)."""
    from segue.settings import read_settings

    named = {"data": data, **{name.replace("_", ".", 1): value for name, value in given.items()}}
    return read_settings(os.environ, {name: str(value) for name, value in named.items() if value is not None})


def instance_of(settings: Settings) -> Instance:
    """The instance in the data folder, which need not exist."""
    from segue.wiring.instance import Instance

    return Instance(Path(settings.data))


def open_control(instance: Instance) -> ControlStore:
    """The instance's control rows, also while it runs."""
    from segue.state.control import ControlStore
    from segue.wiring.clock import SystemClock

    return ControlStore(instance.control, SystemClock())


def main() -> None:
    """The `segue` command."""
    # What an instance keeps is for its owner alone, whoever of its processes makes the file.
    os.umask(0o077)
    segue(prog_name="segue")


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    main()
