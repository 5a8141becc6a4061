"""What a host needs for a lab, and what was seen to work, as parts of the documentation.

Limits are those that `doctor` and the providers check. Figures were measured: they are in
`docs/measured.toml` and, written by the benchmarks, in `docs/performance.md`. `python -m
pytest_kollalab.cli.reference` updates the tables in a checkout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_kollalab.lab.doctor import CORES, PYTHON
from pytest_kollalab.providers.docker.host import MEMORY
from pytest_kollalab.providers.libvirt import machines
from pytest_kollalab.settings.config import NodesConfig
from pytest_kollalab.stages import room

FIGURE = re.compile(r"^\| `(\w+)` \| [^|]* \| ([\d.]+) \|", re.MULTILINE)


def figures(page: str) -> dict[str, float]:
    """The figures that the benchmarks have written into the page on performance."""
    return {name: float(value) for name, value in FIGURE.findall(page)}


def table(measured: Mapping[str, Any], benchmarks: Mapping[str, float], pages: str) -> str:
    """What a host needs, for nodes that are containers and for virtual machines.

    Args:
        measured: The contents of `docs/measured.toml`.
        benchmarks: The figures of the benchmarks; see `figures`.
        pages: Where the pages of the documentation are, such as `docs/`.
    """
    nodes = NodesConfig()
    docker, cache = (room.WHOLE[place] // room.GIB for place in (room.DOCKER, room.CACHE))
    sizes = [size.memory / 1024 for size in machines.sizes(nodes).values()]
    free = sum(sizes) + machines.RESERVE / room.GIB
    small = "`core` and `sfc`"
    first, most, whole = measured["first"], measured["labs"]["most"], measured["labs"]["all"]
    up = f"{benchmarks['up_seconds']:.0f} s with {small}, {whole['up']} s with all features"
    slow = f"{measured['labs']['emulated']['up']} s with {small}, without KVM"
    memory = (
        f"{_lab_memory(benchmarks)} with {small}, {most['memory']} with {most['lab']}, "
        f"{whole['memory']} with these"
    )
    machine = " and ".join(f"{size:g}" for size in sizes)
    python = ".".join(map(str, PYTHON))
    rows = [
        ("a lab needs", "containers (the default)", f"[virtual machines]({pages}libvirt.md)"),
        (
            "system",
            f"Linux on x86-64, Python {python} or newer, root or the group `docker`",
            "the same, and root",
        ),
        ("processors", f"{CORES}", f"{CORES}"),
        (
            "memory of the host",
            f"at least {MEMORY / room.GIB:.0f} GiB",
            f"{free:g} GiB free, for machines of {machine} GiB",
        ),
        (
            "free disk",
            f"{docker + cache} GiB: {docker} for docker, {cache} for the cache",
            f"up to {nodes.disk} GiB more for each machine",
        ),
        ("time of `kollalab up`", up, slow),
        ("... with nothing built yet", f"{first['up']} s with {first['lab']}", ""),
        ("memory that a lab takes", memory, "that of the machines"),
    ]
    told = f"Measured on a host with {measured['host']}; [more]({pages}performance.md)."
    return f"{_table(rows)}\n\n{told}"


def seen(measured: Mapping[str, Any], pages: str) -> str:
    """A line with what was seen to work on each release, and which upgrades."""
    told = measured["seen"]
    releases = "; ".join(f"**{name}** {what}" for name, what in told["releases"].items())
    ways = ", ".join(f"{old} to {new}" for old, new in told["upgrades"]) or "none yet"
    return f"OpenStack [releases]({pages}releases.md), seen to work: {releases}. Upgrades: {ways}."


def durations(measured: Mapping[str, Any], benchmarks: Mapping[str, float]) -> str:
    """How long labs take, and the memory of their nodes."""
    first, labs = measured["first"], measured["labs"].values()
    rows = [
        ("lab", "stage `cloud`", "`kollalab up`", "memory"),
        (f"{first['lab']}, nothing built yet, {first['remark']}", "", first["up"], ""),
        (
            "`core`, `sfc`",
            f"{benchmarks['deploy_seconds']:.0f}",
            f"{benchmarks['up_seconds']:.0f}",
            _lab_memory(benchmarks),
        ),
        *((lab["lab"], lab["cloud"], lab["up"], _remarked(lab)) for lab in labs),
    ]
    return _table(rows)


def _lab_memory(benchmarks: Mapping[str, float]) -> str:
    return f"{benchmarks['lab_memory_mb'] / 1024:.1f} GiB"


def _remarked(lab: Mapping[str, str]) -> str:
    return f"{lab['memory']} {lab['remark']}" if "remark" in lab else lab["memory"]


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as Markdown, the first of which is the head."""
    head, *body = [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows]
    return "\n".join([head, f"|{'---|' * len(rows[0])}", *body])
