"""Commands that ask a space's history: `preview` and `explain`, and `--at` of `audiences members` and `traits values`.

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
from segue.core.errors import Invalid

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


@audiences.command("explain")
@click.argument("key")
@click.option(
    "--profile", required=True, metavar="ID", help="Whose: an id with its type, as in user_id:u1, or a persistent id."
)
@space_option
@json_option
@data_option
def explain_audience(key: str, profile: str, space: str | None, as_json: bool, data: str | None) -> None:
    """Show why a profile is in the audience KEY, or is not.

    The definition with the value of each part and the events that count, worked out anew; what is held, and since when;
    when it will change by itself; and what each destination was told and answered.
    """
    _explain("audience", key, profile, space, as_json, data)


@traits.command("explain")
@click.argument("key")
@click.option(
    "--profile", required=True, metavar="ID", help="Whose: an id with its type, as in user_id:u1, or a persistent id."
)
@space_option
@json_option
@data_option
def explain_trait(key: str, profile: str, space: str | None, as_json: bool, data: str | None) -> None:
    """Show why the computed trait KEY of a profile is what it is.

    The definition with the value of each part and the events that count, worked out anew; what is held, and since when;
    when it will change by itself; and what each destination was told and answered.
    """
    _explain("computed_trait", key, profile, space, as_json, data)


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


def _explain(kind: ComputationKind, key: str, name: str, space: str | None, as_json: bool, data: str | None) -> None:
    from contextlib import ExitStack, closing

    import msgspec

    from segue.control.computations import find_computation
    from segue.control.profiles import named_profile
    from segue.control.sayings import sayings
    from segue.control.standing import Files, standing
    from segue.lake.manifest import ManifestReaders
    from segue.wiring.asking import asking
    from segue.wiring.clock import clock_of
    from segue.wiring.question_texts import standing_lines
    from segue.wiring.views import open_views, secrets_of

    settings = settings_of(data)
    instance = instance_of(settings)
    with asking(instance, settings, space) as of, closing(ManifestReaders(instance.lake)) as lakes:
        row = find_computation(of.control, of.space.slug, kind, key)
        with of.profiles.snapshot():
            profile = named_profile(of.profiles, name, of.space.identity)
            if profile.collection != "users":
                raise Invalid("audiences and computed traits are of users; this is an account", field="--profile")
            files = Files(of.profiles, of.computed, lakes.get(of.space.id), of.log)
            found = standing(row, of.control.computations_of(of.space.id), profile, files, of.now_ms)
            told = of.computed.told_of(profile.number)
            waiting = {each.message_id for each in told if of.outbox.has(each.message_id)}
        with ExitStack() as stack:
            views = stack.enter_context(open_views(instance, clock_of(instance))) if told else None
            secrets = secrets_of(instance, settings) if told else None
            found["connections"] = sayings(
                row,
                told,
                own_source=of.space.own_source,
                destinations={each.id: each for each in of.control.destinations},
                waits=waiting.__contains__,
                answered=lambda message_id: views.explain(message_id, secrets) if views and secrets else [],
            )
    click.echo(msgspec.json.encode(found) if as_json else "\n".join(standing_lines(found, kind)))


def _space(of: Asking) -> Space:
    from segue.control.questions import Space

    return Space(of.control, of.space, of.computed.computations(), of.retention_ms)
