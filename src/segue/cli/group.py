"""The group of commands, and what they have in common.

Rule: a command is thin; what it does stands in `control` or `wiring`, imported only when the command runs. An
error of ours is one line on stderr and exit code 1, wrong usage is 2, and neither is a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
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


def _one_line(text: str) -> str:
    return " ".join(text.split())
