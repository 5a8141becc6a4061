"""The variables that a release of Kolla-Ansible knows."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_kollalab.stages.cloud.catalogue import Catalogue
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

# Variables of Ansible itself, for example for connections.
FOREIGN = ("ansible_",)


def check(names: Iterable[str], catalogue: Catalogue, release: str) -> None:
    """Check that Kolla-Ansible knows all variables.

    Raises:
        ConfigError: A variable is unknown. The hint names a similar one.
    """
    for name in names:
        if not name.startswith(FOREIGN) and name not in catalogue.variables:
            raise ConfigError(
                f"Kolla-Ansible of {release} knows no variable {name}",
                details="setting it would have no effect",
                hint=_hint(name, catalogue.variables),
            )


def _hint(name: str, there: frozenset[str]) -> str:
    said = nearest(name, there)
    # Do not list all variables: there are thousands.
    return said if said.startswith("did you mean") else "take it out of [globals]"
