"""The verb `gc`: what nothing uses any more."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from pytest_kollalab.cli.frame import (
    EXIT_FAILED,
    json_option,
    make_lab,
    setting_options,
    verb,
)
from pytest_kollalab.system.errors import KollalabError, as_message

if TYPE_CHECKING:
    from pytest_kollalab.engine.garbage import Item
    from pytest_kollalab.lab.lab import Lab


@verb
@setting_options("discard_saved")
@click.option("--yes", is_flag=True, help="Remove what is listed. Without it, nothing is removed.")
@click.option(
    "--older-than",
    "days",
    default=7.0,
    show_default=True,
    help="List only labs and caches that were not used for this many days.",
)
@click.option("--keep-last", default=0, metavar="N", help="Keep the newest N of each kind.")
@click.option(
    "--max-size", metavar="SIZE", help="Keep this much, such as 20G; the oldest go first."
)
@click.option("--kind", "kinds", multiple=True, help="List only this kind; may be repeated.")
@json_option
def gc(
    yes: bool,
    days: float,
    keep_last: int,
    max_size: str | None,
    kinds: tuple[str, ...],
    as_json: bool,
    **given: Any,
) -> None:
    """List what is no longer used, with its age and size; remove it with --yes.

    Kinds: run (processes and files of a killed run), lab (incomplete, or long unused),
    golden (the golden state of a removed lab, long unused),
    leftover (of a lab of this host that no longer exists), tools, images (in docker), store (in the
    registry), layers (shared by nodes), files. What a running process or an existing lab uses is
    never listed.
    """
    from pytest_kollalab.lab.gc.item import above, bytes_of, human_age, human_size, spare, total

    limit = None if max_size is None else bytes_of(max_size)
    items = spare(_garbage(make_lab((), **given), days, kinds), keep_last)
    if limit is not None:
        items = above(items, limit)
    failed: dict[str, str] = {}
    gone = []
    for item in items:
        if not as_json:
            click.echo(
                f"{item.kind:<8}  {human_age(item.age):>7}  {human_size(item.size):>9}"
                f"  {item.what}: {item.why}"
            )
        if yes:
            try:
                item.remove()
                gone.append(item)
            except Exception as error:  # noqa: BLE001 - one that stays does not keep the others
                failed[f"{item.kind} {item.what}"] = _told(error)
    if as_json:
        listed = [
            {name: getattr(item, name) for name in ("kind", "what", "why", "age", "size")}
            for item in items
        ]
        click.echo(json.dumps({"items": listed, "removed": yes, "failed": failed}, indent=2))
    elif not items:
        click.echo("there is no garbage")
    elif yes:
        click.echo(f"removed {len(gone)}, {human_size(total(gone))}")
    else:
        click.echo(f"{human_size(total(items))} in all; `kollalab gc --yes` removes it")
    for what, said in failed.items() if not as_json else ():
        click.echo(f"{what} stays: {said}", err=True)
    if failed:
        sys.exit(EXIT_FAILED)


def _told(error: Exception) -> str:
    told = as_message(error)
    return str(told) if isinstance(told, KollalabError) else f"{type(told).__name__}: {told}"


def _garbage(lab: Lab, days: float, kinds: tuple[str, ...]) -> list[Item]:
    from pytest_kollalab.lab.gc.find import find

    added = lab.extensions.providers_for(lab.config)
    return find(lab.paths, lab.config, days, kinds, lab.options, added)
