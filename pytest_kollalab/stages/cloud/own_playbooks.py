"""Checks the playbooks of features before anything is built, as far as that needs no Ansible."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from pytest_kollalab.features.base import Feature
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

# What every inventory of Ansible has.
ALWAYS = ("all", "ungrouped", "localhost", "127.0.0.1")
BETWEEN = re.compile(r"[,:;]")
# A host of a group, such as `control[0]`.
INDEX = re.compile(r"\[[^\]]*\]$")


def check(features: Iterable[Feature], known: Collection[str]) -> None:
    """Check that playbooks can be read and that their plays have hosts.

    Args:
        features: The features.
        known: The groups and hosts of the inventory.

    Raises:
        ConfigError: A playbook is no YAML, has something else than plays, or a play is for a group
            or host that the inventory does not have.
    """
    there = {*known, *ALWAYS}
    for feature in features:
        for path in feature.playbooks:
            for name in _hosts(path, feature.name):
                if name not in there:
                    raise ConfigError(
                        f"{path}: the lab has no group or host {name!r}",
                        details=f"a play of the feature {feature.name} is for it",
                        hint=nearest(
                            name,
                            there,
                            "groups are those of Kolla-Ansible's inventory, "
                            "and one for each kind of node that a feature adds",
                        ),
                    )


def names_in(pattern: str) -> Iterator[str]:
    """The groups and hosts that a pattern of Ansible names, without those that it only matches."""
    if "{{" in pattern or pattern.startswith("~"):
        return
    for part in BETWEEN.split(INDEX.sub("", pattern)):
        name = INDEX.sub("", part.strip().lstrip("!&"))
        if name and not set("*?[]~") & set(name):
            yield name


def _hosts(path: Path, feature: str) -> Iterator[str]:
    plays = _read(path, feature)
    if not isinstance(plays, list) or not all(isinstance(play, dict) for play in plays):
        raise ConfigError(
            f"{path} is no playbook",
            details=f"the feature {feature} names it, and it is not a list of plays",
            hint="begin each play with `- hosts: ...`",
        )
    for play in plays:
        hosts = play.get("hosts", ())
        for pattern in [hosts] if isinstance(hosts, str) else hosts or ():
            yield from names_in(str(pattern))


def _read(path: Path, feature: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads the tags of Ansible, such as `!vault`, as nothing."""

    Loader.add_multi_constructor("!", lambda *_: None)
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is no YAML",
            details=f"the feature {feature} names it as a playbook\n{error}",
            hint="correct it there",
        ) from error
