"""The verb `ssh`: a shell or a command on a node."""

from __future__ import annotations

import functools
from typing import Any

import click

from pytest_kollalab.cli.frame import make_lab, verb
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest
from pytest_kollalab.system.run import become


# Everything behind the node's name belongs to the command, including options.
@functools.partial(
    verb, settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(node: str, command: tuple[str, ...], **given: Any) -> None:
    """Log into a node, or run a command on it."""
    lab = make_lab((), **given)
    if lab.made(NodesMade) is None and any(word.startswith("--name") for word in command):
        raise ConfigError(
            f"lab {lab.name} has no nodes",
            details="what stands behind the name of a node belongs to the command there",
            hint=f"write the options first: kollalab ssh {' '.join(command)} {node}",
        )
    access = lab.ssh()
    made = lab.made(NodesMade)
    nodes = made.nodes if made is not None else {}
    if node not in nodes:
        raise ConfigError(f"there is no node {node!r}", hint=nearest(node, list(nodes)))
    # This process becomes ssh, which then owns the terminal.
    become([*access.argv(node), *command])
