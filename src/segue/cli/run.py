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


@segue.command()
@click.argument("rows", metavar="[ROW]...", nargs=-1)
@click.option("--quick", is_flag=True, help="For trying: too short to be believed.")
@click.option("--data", metavar="DIR", default=None, help="The folder whose disk is measured. Default: bench/results.")
def bench(rows: tuple[str, ...], quick: bool, data: str | None) -> None:
    """Measure speed and size beside their limits.

    It makes instances of its own below the folder and removes them; one that is there is left alone. It needs a
    checkout of the repository.
    """
    import subprocess

    import segue as package
    from segue.core.errors import Invalid

    checkout = Path(package.__file__).parents[2]
    if not (checkout / "bench" / "__main__.py").exists():
        raise Invalid("the benchmark is part of the repository: clone it and run `make bench`")
    words = [*(["--quick"] if quick else []), *(["--data", str(Path(data).absolute())] if data else []), *rows]
    sys.exit(subprocess.run([sys.executable, "-m", "bench", *words], cwd=checkout, check=False).returncode)
