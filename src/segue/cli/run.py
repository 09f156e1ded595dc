"""Commands that run something: `up`, `sandbox`, `bench`.

Rule: they stay in the foreground until they are done or told to stop.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from segue.cli.group import data_option, instance_of, segue, settings_of

PORT = click.IntRange(0, 65_535)
"""A port of 0 takes a free one."""


@segue.command()
@click.option("--host", metavar="H", default=None, help="The address to listen on. Default: 127.0.0.1.")
@click.option("--port", type=PORT, metavar="PORT", default=None, help="The port to listen on. Default: 8000.")
@click.option("--workspace", metavar="FILE", default=None, help="Apply this workspace file where it has changed.")
@click.option("--demo", is_flag=True, help="Run the sandboxes and, without --workspace, a workspace that uses them.")
@click.option("--sandbox-port", type=PORT, metavar="PORT", help="Run the sandboxes on this port. With --demo: 8100.")
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
@click.option("--port", type=PORT, metavar="PORT", default=None, help="The port to listen on. Default: 8100.")
@data_option
def sandbox(port: int | None, data: str | None) -> None:
    """Run only the five sandboxes, for this machine alone."""
    from segue.settings import SANDBOX_PORT
    from segue.wiring.running import run_sandboxes

    settings = settings_of(data, sandbox_port=port)
    chosen = SANDBOX_PORT if settings.sandbox.port is None else settings.sandbox.port
    sys.exit(run_sandboxes(instance_of(settings), chosen, click.echo))


@segue.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Measure speed and size beside their limits.

    It needs a checkout of the repository.
    """
    import subprocess

    import segue as package
    from segue.core.errors import Invalid

    checkout = Path(package.__file__).parents[2]
    if not (checkout / "bench" / "__main__.py").exists():
        raise Invalid("the benchmark is part of the repository: clone it and run `make bench`")
    sys.exit(subprocess.run([sys.executable, "-m", "bench", *arguments], cwd=checkout, check=False).returncode)
