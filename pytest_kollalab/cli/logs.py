"""The verb logs: shows logs of stages, nodes and containers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pytest_kollalab.cli.frame import in_use, make_lab, verb
from pytest_kollalab.engine.records import READY
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.settings.config import STAGES
from pytest_kollalab.system.errors import ConfigError, StageError
from pytest_kollalab.system.nearest import nearest
from pytest_kollalab.system.run import become

LINES = 100

# A container prints only how it started. Its services log into Kolla's folder, into files with the
# container's name or, if there are none, into those of the whole service.
CONTAINER = """\
container=$1 lines=$2 follow=$3
name=$(echo "$container" | tr _ -)
folder=/var/log/kolla/${name%%-*}
set -- "$folder/$name"*.log
[ -e "$1" ] || set -- "$folder"/*.log
[ -e "$1" ] || set --
if [ -n "$follow" ]; then
    if [ $# -gt 0 ]; then tail -n "$lines" -F "$@" & fi
    docker logs --tail "$lines" --follow "$container"
    wait
else
    echo "==> docker logs $container <=="
    docker logs --tail "$lines" "$container"
    if [ $# -gt 0 ]; then tail -v -n "$lines" "$@"; fi
fi
"""


@verb
@click.argument("node", metavar="[NODE|STAGE]", required=False)
@click.argument("container", required=False)
@click.option("-f", "--follow", is_flag=True, help="Follow the logs until Ctrl-C.")
@click.option(
    "-n", "--lines", default=LINES, show_default=True, help="How many lines to show, from the end."
)
def logs(node: str | None, container: str | None, follow: bool, lines: int, **given: Any) -> None:
    """Show the log of a stage, the journal of a node, or the logs of a container on it.

    Without an argument it lists the logs that exist; with -f it then follows those of all stages.
    """
    lab = make_lab((), **given)
    if node is None:
        _overview(lab, follow, lines, given)
    elif node in STAGES:
        if container is not None:
            raise ConfigError(
                f"the stage {node} has no container {container!r}",
                details="its log is on this host; containers are on nodes",
                hint=f"leave {container} out, or name the node: kollalab logs NODE {container}",
            )
        become(tail_argv(stage_logs(lab, node), follow, lines))
    else:
        _on_node(lab, node, container, follow, lines)


def stage_logs(lab: Lab, stage: str) -> list[Path]:
    """The log files of a stage. Raises StageError if it has none yet."""
    main = lab.engine.log_path(stage)
    found = [*main.parent.glob(f"{stage}.log"), *sorted(main.parent.glob(f"{stage}-*.log"))]
    if not found:
        record = lab.engine.record(stage)
        if record is not None and record.status == READY:
            raise StageError(
                f"stage {stage} has no log", details="nothing that builds it writes one"
            )
        raise StageError(f"stage {stage} has no log yet", hint=f"kollalab up --until {stage}")
    return found


def tail_argv(files: Sequence[Path], follow: bool, lines: int) -> list[str]:
    """The command that shows the end of files."""
    return ["tail", "-n", str(lines), *(["-F"] if follow else []), *map(str, files)]


def node_command(container: str | None, follow: bool, lines: int) -> list[str]:
    """The command for the node that shows its journal, or a container's logs."""
    if container is None:
        end = ["--follow"] if follow else ["--no-pager"]
        return ["journalctl", "--boot", "--lines", str(lines), *end]
    return ["sh", "-c", CONTAINER, "logs", container, str(lines), "yes" if follow else ""]


def _overview(lab: Lab, follow: bool, lines: int, given: dict[str, Any]) -> None:
    found = {}
    for stage in STAGES:
        try:
            found[stage] = stage_logs(lab, stage)
        except StageError:
            continue
    there = lab.exists()
    if not found and not there:
        raise StageError(lab.unknown(), hint="kollalab up")
    if not there:
        shared = f"{lab.unknown()}; these logs are of stages that all labs share"
        click.echo(in_use(shared, given), err=True)
    if follow:
        if not found:
            raise StageError(f"lab {lab.name} has no logs yet", hint="kollalab up")
        become(tail_argv([path for paths in found.values() for path in paths], follow, lines))
    for stage, paths in found.items():
        for path in paths:
            click.echo(f"{stage:<13} {path}")
    nodes = lab.made(NodesMade)
    for name in nodes.nodes if nodes is not None else ():
        click.echo(f"{name:<13} {' '.join(_containers(lab, name)) or 'the journal only'}")


def _on_node(lab: Lab, node: str, container: str | None, follow: bool, lines: int) -> None:
    made = lab.made(NodesMade)
    names = list(made.nodes) if made is not None else []
    if node not in names:
        known = [*names, *STAGES]
        raise ConfigError(
            f"there is no node or stage {node!r}",
            details="" if names else f"lab {lab.name} has no nodes",
            hint=nearest(node, known) if names else f"known: {', '.join(known)}",
        )
    access = lab.ssh()
    if container is not None and container not in (known := _containers(lab, node)):
        raise ConfigError(
            f"there is no container {container!r} on {node}", hint=nearest(container, known)
        )
    # With a terminal on the node, Ctrl-C also ends the command there.
    become(access.argv(node, node_command(container, follow, lines), tty=follow))


def _containers(lab: Lab, node: str) -> list[str]:
    argv = ["docker", "ps", "--all", "--format", "{{.Names}}"]
    return sorted(lab.ssh().run(node, argv, check=False, timeout=20).stdout.split())
