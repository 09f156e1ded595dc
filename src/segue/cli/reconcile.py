"""`segue reconcile`: whether what is held of audiences and computed traits is what the whole history says.

Rule: it only reads, from a running instance as from one that is stopped; the exit code says whether all agree.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from segue.cli.computations import json_option
from segue.cli.group import data_option, instance_of, segue, settings_of
from segue.cli.profiles import space_option

PAUSE_S = 0.3


@segue.command()
@click.argument("key", required=False)
@space_option
@json_option
@data_option
def reconcile(key: str | None, space: str | None, as_json: bool, data: str | None) -> None:
    """Compare audiences and traits with the whole history.

    What is held of every audience and computed trait, or of KEY, is compared with what all events say. Both are of the
    space's last commit. The exit code is 0 where all agree, 1 where something differs, which is an error of Segue's,
    and 3 where nothing differs and something cannot be compared yet. What is switched off is passed over.
    """
    import msgspec

    from segue.control.reconcile import Sides, behind, outcome, reconciled
    from segue.control.suggestion import did_you_mean
    from segue.core.errors import Invalid
    from segue.wiring.asking import asking
    from segue.wiring.question_texts import behind_lines, reconciled_lines

    settings = settings_of(data)
    instance = instance_of(settings)
    found: list[dict[str, Any]] = []
    with asking(instance, settings, space) as of:
        every = of.control.computations_of(of.space.id)
        rows = [row for row in every if key is None or row.key == key]
        if key is not None and not rows:
            hint = did_you_mean(key, [row.key for row in every])
            raise Invalid(f"there is no audience or computed trait with the key {key!r}{hint}", field="KEY")
        for each in reconciled(rows, Sides(of.files, of.profiles, of.computed, lambda: time.sleep(PAUSE_S))):
            found.append(each)
            if not as_json:
                click.echo("\n".join(reconciled_lines(each)))
        late = behind(of.log, of.profiles, of.computed, of.now_ms)
    code = outcome([each["result"] for each in found])
    if as_json:
        whole = {"space": of.space.slug, "agree": code == 0, **late, "computations": found}
        click.echo(msgspec.json.encode(whole))
    for line in () if as_json else behind_lines(late, running=instance.is_held("supervisor")):
        click.echo(line)
    sys.exit(code)
