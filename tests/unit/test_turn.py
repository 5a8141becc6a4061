"""The order in which the containers of a restored node start: what each waits for."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from importlib.resources import files

import pytest

from pytest_kollalab.features.registry import built_in
from pytest_kollalab.releases import releases

TURN = (files("pytest_kollalab.providers.docker") / "restored" / "turn").read_text()
LAST_CASE = TURN[TURN.index("DATABASE=") :].splitlines()
BRANCH = re.compile(r"^(kolla-[^)]*|\*)\)(.*)")
WAIT = re.compile(r'await (?:listens|answers|test -S) "?([\w$/.]+)')


def waits(container: str) -> list[str]:
    """What the unit of a container waits for."""
    unit = f"kolla-{container}-container.service"
    found: list[str] | None = None
    for line in LAST_CASE:
        branch = BRANCH.match(line)
        if branch:
            if found is not None:
                break
            if any(fnmatchcase(unit, each.strip()) for each in branch[1].split("|")):
                found = []
        if found is not None:
            found += WAIT.findall(line)
    assert found is not None
    return found


@pytest.mark.parametrize("release", releases.RELEASES)
def test_keystone_does_not_wait_for_itself(release: str) -> None:
    names = {
        name
        for feature in built_in(release)
        for group in feature.containers.values()
        for name in group
    }
    (keystone,) = names & {"keystone", "keystone_api"}
    assert waits(keystone) == waits("neutron_server") == ["$DATABASE", "$QUEUES"]


def test_the_others_wait_for_what_they_need() -> None:
    assert waits("mariadb") == []
    assert waits("openvswitch_vswitchd") == ["/run/openvswitch/db.sock"]
    assert waits("neutron_l3_agent") == ["$NETWORK"]
    assert waits("nova_api") == waits("keystone_fernet") == ["$IDENTITY", "$NETWORK"]
