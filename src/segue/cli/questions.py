"""Commands that ask a space's whole history: `preview`, and `--at` of `audiences members` and `traits values`.

Rule: they only read, from a running instance as from one that is stopped; an answer says of which instant it is.
"""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any

import click

from segue.cli.computations import (
    SHOWN,
    audiences,
    json_option,
    print_holders,
    print_holders_json,
    traits,
)
from segue.cli.group import data_option, instance_of, settings_of
from segue.cli.profiles import space_option

if TYPE_CHECKING:
    from segue.compute import Mistaken
    from segue.control.questions import Space
    from segue.state.computations import ComputationKind
    from segue.wiring.asking import Asking

definition_option = click.option(
    "--definition", default=None, metavar="TEXT", help="This text, which need not be saved."
)
at_option = click.option("--at", default=None, metavar="TIME", help="ISO 8601, or from now: +31d, -2h. Default: now.")


class WrongDefinition(click.ClickException):
    """A definition that cannot be used, shown with each mistake at its place."""

    def __init__(self, text: str, mistaken: Mistaken) -> None:
        from segue.wiring.question_texts import mistake_lines

        super().__init__("\n".join(mistake_lines(text, mistaken.mistakes)))

    def show(self, file: IO[Any] | None = None) -> None:
        """As click does, on several lines."""
        click.echo(f"Error: {self.message}", file=file, err=file is None)


@audiences.command("preview")
@click.argument("key_or_definition", required=False)
@definition_option
@at_option
@space_option
@json_option
@data_option
def preview_audience(
    key_or_definition: str | None,
    definition: str | None,
    at: str | None,
    space: str | None,
    as_json: bool,
    data: str | None,
) -> None:
    """Show who would be in an audience: how many, some of them, and which ids they have.

    Of one that is saved, by its KEY, or of a definition that need not be. With both, of the KEY with another
    definition. Traits and ids are those of now, whatever --at says.
    """
    _preview("audience", key_or_definition, definition, at, space, as_json, data)


@traits.command("preview")
@click.argument("key_or_definition", required=False)
@definition_option
@at_option
@space_option
@json_option
@data_option
def preview_trait(
    key_or_definition: str | None,
    definition: str | None,
    at: str | None,
    space: str | None,
    as_json: bool,
    data: str | None,
) -> None:
    """Show who would have a computed trait: how many, some of them with their values, and which ids they have.

    Of one that is saved, by its KEY, or of a definition that need not be. With both, of the KEY with another
    definition. Traits and ids are those of now, whatever --at says.
    """
    _preview("computed_trait", key_or_definition, definition, at, space, as_json, data)


def _preview(
    kind: ComputationKind,
    name: str | None,
    definition: str | None,
    at: str | None,
    space: str | None,
    as_json: bool,
    data: str | None,
) -> None:
    import msgspec

    from segue.compute import Mistaken
    from segue.compute.sql import preview
    from segue.control.instants import instant_of
    from segue.control.questions import previewed, shown_mistakes, shown_preview
    from segue.wiring.asking import asking
    from segue.wiring.question_texts import preview_lines

    settings = settings_of(data)
    with asking(instance_of(settings), settings, space) as of:
        at_ms = of.now_ms if at is None else instant_of(at, of.now_ms, "--at")
        try:
            asked = previewed(_space(of), kind, name, definition, of.now_ms)
        except Mistaken as mistaken:
            if as_json:
                click.echo(json.dumps(shown_mistakes(mistaken)))
            raise WrongDefinition(definition or name or "", mistaken) from None
        found = shown_preview(asked, preview(of.files, asked.definitions, asked.row.key, at_ms), of.profiles)
    click.echo(msgspec.json.encode(found) if as_json else "\n".join(preview_lines(found, kind)))


def holders_at(
    kind: ComputationKind, key: str, at: str, limit: int | None, space: str | None, as_json: bool, data: str | None
) -> None:
    """`members` and `values` of another instant than now."""
    from segue.compute.sql import answer
    from segue.control.instants import instant_of
    from segue.control.questions import holders, saved
    from segue.control.questions import holders_at as shown
    from segue.core.clock import iso
    from segue.wiring.asking import asking

    settings = settings_of(data)
    with asking(instance_of(settings), settings, space) as of:
        at_ms = instant_of(at, of.now_ms, "--at")
        asked = saved(_space(of), kind, key)
        values = holders(answer(of.files, asked.definitions, key, at_ms), kind)
        head = {"key": key, "at": iso(at_ms), "count": len(values)}
        if as_json:
            print_holders_json(head, kind, shown(values, kind, of.profiles, limit))
        else:
            print_holders(head, kind, shown(values, kind, of.profiles, limit or SHOWN), limit or SHOWN)


def _space(of: Asking) -> Space:
    from segue.control.questions import Space

    return Space(of.control, of.space, of.computed.computations(), of.retention_ms)
