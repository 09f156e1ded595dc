"""The group of commands, and what they have in common.

Rule: a command is thin; what it does stands in `control` or `wiring`, imported only when the command runs. An
error of ours is one line on stderr and exit code 1, wrong usage is 2, Ctrl-C is 130, and none is a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from segue import __version__
from segue.core.errors import SegueError

if TYPE_CHECKING:
    from segue.settings import Settings
    from segue.state.control import ControlStore
    from segue.wiring.instance import Instance

Command = TypeVar("Command", bound=Callable[..., Any])

ORDER = (
    *("up", "sandbox", "send", "tail", "status", "explain", "profiles", "audiences", "traits"),
    *("reconcile", "destinations"),
    *("replay", "redrive", "backup", "restore"),
    *("plan", "apply", "export", "schema", "settings", "doctor", "bench"),
)
"""The commands as one meets them: run, look, move, describe."""

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it: 128 and the number of the signal."""


class OneLineErrors(click.Group):
    """A group of commands whose errors are told in one line."""

    group_class = type

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of `ORDER`; what does not stand there comes last, by its name."""
        return sorted(self.commands, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Read what stands before the command; an option that belongs behind it is told so."""
        try:
            return super().parse_args(context, arguments)
        except click.NoSuchOption as error:
            if any(error.option_name in option.opts for option in _options_below(self)):
                words = f"{error.option_name} stands after the command, as in: {context.command_path} COMMAND"
                raise click.UsageError(f"{words} {error.option_name} ...", context) from None
            raise

    def invoke(self, context: click.Context) -> Any:
        """Run the command. What Segue or the system refuses becomes one line on stderr."""
        try:
            return super().invoke(context)
        except SegueError as error:
            raise click.ClickException(_one_line(str(error))) from error
        except (KeyboardInterrupt, click.Abort):
            if sys.stderr.isatty():
                click.echo(err=True)  # the shell's prompt begins on a line of its own
            context.exit(INTERRUPTED)
        except BrokenPipeError:
            # Whoever read our output has gone, as `head` does; the rest of it has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            context.exit(0)
        except UnicodeEncodeError as error:
            raise click.ClickException("an argument is not valid UTF-8") from error
        except OSError as error:
            raise click.ClickException(_one_line(_system_words(error))) from error
        except Exception as error:
            _raise_unless_sqlite(error)


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


@segue.command("help", hidden=True)
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def show_help(context: click.Context, words: tuple[str, ...]) -> None:
    """Show what a command does, as `--help` behind it."""
    assert context.parent is not None
    shown: click.Context = context.parent
    for word in words:
        found = shown.command.get_command(shown, word) if isinstance(shown.command, click.Group) else None
        if found is None:
            raise click.UsageError(f"No such command {word!r}.", shown)
        shown = click.Context(found, info_name=word, parent=shown)
    click.echo(shown.get_help())


def settings_of(data: str | None, **given: str | int | None) -> Settings:
    """The settings of the environment, then those that the command line gives by name (`sandbox_port`)."""
    from segue.settings import read_settings

    named = {"data": data, **{name.replace("_", ".", 1): value for name, value in given.items()}}
    return read_settings(os.environ, {name: str(value) for name, value in named.items() if value is not None})


def instance_of(settings: Settings) -> Instance:
    """The instance in the data folder, which need not exist. Raises Invalid where this user may not use the folder."""
    from segue.wiring.instance import Instance

    instance = Instance(Path(settings.data))
    instance.check_reach()
    return instance


def open_control(instance: Instance) -> ControlStore:
    """The instance's control rows, also while it runs."""
    from segue.state.control import ControlStore
    from segue.wiring.clock import clock_of

    return ControlStore(instance.control, clock_of(instance))


def _options_below(group: click.Group) -> list[click.Parameter]:
    """Every option of the commands of a group, and of the groups in it."""
    found: list[click.Parameter] = []
    for command in group.commands.values():
        found += command.params
        if isinstance(command, click.Group):
            found += _options_below(command)
    return found


def _system_words(error: OSError) -> str:
    """What the system says, without its number."""
    words = error.strerror or str(error)
    return f"{error.filename}: {words}" if error.filename else words


def _raise_unless_sqlite(error: Exception) -> NoReturn:
    """Files of the instance that SQLite cannot read now are the world's fault; any other surprise is ours."""
    if type(error).__module__ != "sqlite3":
        raise error
    raise click.ClickException(_one_line(f"the instance's files cannot be read: {error}")) from error


def _one_line(text: str) -> str:
    return " ".join(text.split())
