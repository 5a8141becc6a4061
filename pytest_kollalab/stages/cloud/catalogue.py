"""What the Kolla-Ansible of a release knows: its variables and its services, as plain data.

The data is in the package, so that a plan can say what is wrong before the tools are there.
`python -m pytest_kollalab.stages.cloud.catalogue RELEASE SHARE` makes it anew from the folder
`share/kolla-ansible` of an installation.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from pytest_kollalab.releases import releases

FILE = "kolla-ansible.json"
SHARE = Path("share") / "kolla-ansible"
ROLES = "ansible/roles"
DEFAULTS_OF = "ansible/group_vars/all/*.yml"
# The files that define variables, and the one that shows variables without a default value as
# comments.
DEFINED = (
    "ansible/group_vars/all.yml",
    DEFAULTS_OF,
    f"{ROLES}/*/defaults/*.yml",
    f"{ROLES}/*/vars/*.yml",
)
# The file with the Debian suites that nodes may have.
PRECHECKS = f"{ROLES}/prechecks/vars/main.yml"
SHOWN = "etc_examples/kolla/globals.yml"
INVENTORY = "ansible/inventory/multinode"
GROUP = re.compile(r"^\[([^\]:]+)", re.MULTILINE)
NAME = re.compile(r"^([A-Za-z_]\w*):", re.MULTILINE)
COMMENTED = re.compile(r"^#?\s?([A-Za-z_]\w*):", re.MULTILINE)
IMAGE = re.compile(r"\{\{\s*(\w+_image)_full\s*\}\}")
# What stands behind the registry in a variable such as `horizon_image`.
REPOSITORY = re.compile(r"\}\}([\w.-]+)$")


@dataclass(frozen=True)
class Service:
    """A service of a role.

    Attributes:
        role: The role.
        container: The name of its container.
        image: The name of its image. Empty if it is not known.
        enabled: The condition for it, as the role writes it.
    """

    role: str
    container: str
    image: str
    enabled: bool | str


@dataclass(frozen=True)
class Catalogue:
    """What the Kolla-Ansible of a release knows.

    Attributes:
        variables: The names of all variables.
        services: The services of all roles.
        conditions: What the variables that switch something are by default: true, false, or a
            condition with others.
        suites: The Debian suites that nodes may be of.
        groups: The groups of its inventory.
    """

    variables: frozenset[str]
    services: tuple[Service, ...]
    conditions: Mapping[str, bool | str]
    suites: tuple[str, ...] = ()
    groups: frozenset[str] = frozenset()

    def to_json(self) -> str:
        """The catalogue as the text of its file."""
        told = {
            "variables": sorted(self.variables),
            "services": [list(asdict(service).values()) for service in self.services],
            "conditions": dict(sorted(self.conditions.items())),
            "suites": list(self.suites),
            "groups": sorted(self.groups),
        }
        return json.dumps(told, indent=0) + "\n"


@cache
def of_release(name: str) -> Catalogue:
    """The catalogue of a release, from the package. Raises ConfigError for an unknown release."""
    path = releases.get(name).data / FILE
    told = json.loads(path.read_text(encoding="utf-8"))
    return Catalogue(
        frozenset(told["variables"]),
        tuple(Service(*row) for row in told["services"]),
        told["conditions"],
        tuple(told["suites"]),
        frozenset(told["groups"]),
    )


def read(share: Path) -> Catalogue:
    """The catalogue of an installation, from its folder `share/kolla-ansible`."""
    variables: set[str] = set()
    for pattern in DEFINED:
        for path in share.glob(pattern):
            variables.update(NAME.findall(path.read_text(encoding="utf-8")))
    shown = share / SHOWN
    if shown.is_file():
        variables.update(COMMENTED.findall(shown.read_text(encoding="utf-8")))
    texts = [path.read_text(encoding="utf-8") for path in sorted(share.glob(DEFAULTS_OF))]
    services = (
        service
        for path in sorted(share.glob(f"{ROLES}/*/defaults/main.yml"))
        for service in services_of(path.parents[1].name, path.read_text(encoding="utf-8"))
    )
    conditions = dict(found for text in texts for found in switches_of(text))
    suites = _debian_suites(share / PRECHECKS)
    hosts = share / INVENTORY
    groups = GROUP.findall(hosts.read_text(encoding="utf-8")) if hosts.is_file() else ()
    return Catalogue(frozenset(variables), tuple(services), conditions, suites, frozenset(groups))


def switches_of(text: str) -> Iterator[tuple[str, bool | str]]:
    """The variables of a file that switch something, with what they are by default."""
    import yaml

    for name, value in (yaml.safe_load(text) or {}).items():
        if name.startswith("enable_") and isinstance(value, bool | str):
            yield name, value if isinstance(value, bool) else " ".join(value.split())


def services_of(role: str, text: str) -> Iterator[Service]:
    """The services in the text of a role's defaults."""
    import yaml

    defaults = yaml.safe_load(text) or {}
    for key, table in defaults.items():
        if not key.endswith("_services") or not isinstance(table, dict):
            continue
        for entry in table.values():
            if isinstance(entry, dict) and "container_name" in entry and "enabled" in entry:
                image = IMAGE.search(str(entry.get("image", "")))
                reference = str(defaults.get(image[1], "")) if image is not None else ""
                repository = REPOSITORY.search(reference)
                yield Service(
                    role,
                    str(entry["container_name"]),
                    repository[1] if repository is not None else "",
                    entry["enabled"],
                )


def _debian_suites(path: Path) -> tuple[str, ...]:
    import yaml

    if not path.is_file():
        return ()
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(told["host_os_distributions"]["Debian"])


if __name__ == "__main__":
    release, share = sys.argv[1:]
    (releases.get(release).data / FILE).write_text(read(Path(share)).to_json(), encoding="utf-8")
