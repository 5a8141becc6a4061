"""The inventory: Kolla-Ansible's own multinode file with the lab's nodes in its base groups."""

from __future__ import annotations

import re
from collections.abc import Sequence

# The only groups of the stock file to edit; all others consist of these. `deployment` stays empty:
# if the controlling host were in the inventory, every play would gather its facts too.
CONTROL_GROUPS = ("control", "network")
COMPUTE_GROUPS = ("compute",)
EMPTY_GROUPS = ("monitoring", "storage", "deployment")

_GROUP = re.compile(r"\[(?P<name>[^\]:]+)\]\s*")
_SECTION = re.compile(r"\[[^\]]+\]\s*")


def groups(nodes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The nodes in each base group.

    A node that is neither a controller nor a compute node, such as `gateway-1`, is only in a group
    of its kind, here `gateway`. Kolla-Ansible deploys nothing to such a group.
    """
    control = tuple(name for name in nodes if name.startswith("controller-"))
    compute = tuple(name for name in nodes if name.startswith("compute-"))
    own: dict[str, tuple[str, ...]] = {}
    for name in nodes:
        if name not in (*control, *compute):
            group = name.rpartition("-")[0]
            own[group] = (*own.get(group, ()), name)
    return {
        **dict.fromkeys(CONTROL_GROUPS, control),
        **dict.fromkeys(COMPUTE_GROUPS, compute),
        **dict.fromkeys(EMPTY_GROUPS, ()),
        **own,
    }


def render(stock: str, nodes: Sequence[str]) -> str:
    """Return the stock inventory with these nodes as the members of its base groups."""
    members = groups(nodes)
    lines: list[str] = []
    replaced = False
    there: set[str] = set()
    for line in stock.splitlines():
        section = _SECTION.fullmatch(line)
        if section is not None:
            group = _GROUP.fullmatch(line)
            replaced = group is not None and group["name"] in members
            lines.append(line)
            if group is not None and replaced:
                there.add(group["name"])
                lines += [*members[group["name"]], ""]
        elif not replaced:
            lines.append(line)
    for name in (name for name in members if name not in there):
        lines += ["", f"[{name}]", *members[name]]
    return "\n".join(lines) + "\n"
