"""Names of resources: cut to what each API and the nodes accept, and unique all the same."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kollalab.sdn.probe.namespace import namespace_name
from pytest_kollalab.sdn.tenant.tenant import Tenant
from pytest_kollalab.system.names import fitting
from pytest_kollalab.system.ssh import Ssh

# From the schemas of Keystone and Neutron (2026.1): `maxLength` of a project's name, NAME_MAX_LEN.
KEYSTONE_PROJECT = 64
NEUTRON = 255
# NAME_MAX of Linux, and systemd's UNIT_NAME_MAX.
FILE = 255

LONG = "test_that_a_chain_whose_functions_are_on_both_nodes_keeps_the_order_of_its_groups_after_it"


class FakeNetworkApi:
    """Keeps the requests; what is sent is what is looked at."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def create_ports(self, wanted: list[dict[str, Any]]) -> list[Any]:
        self.sent += wanted
        fixed = [{"ip_address": "10.0.0.5"}]
        return [SimpleNamespace(id="1" * 36, mac_address="", fixed_ips=fixed) for _ in wanted]

    def delete_port(self, *_: object, **__: object) -> None:
        pass


def tenant(name: str, api: Any = None) -> Tenant:
    admin: Any = SimpleNamespace(network=api)
    made = Tenant(admin, name, Ssh(Path("/none")))
    made.project = SimpleNamespace(id="p")
    return made


def test_a_name_that_fits_stays() -> None:
    assert fitting("short", 64) == "short"
    assert fitting("a" * 64, 64) == "a" * 64


def test_a_name_that_is_cut_stays_unique_and_within_its_bytes() -> None:
    one, two = (fitting("é" * 100 + end, 64) for end in "ab")
    assert one != two
    assert all(50 < len(each.encode()) <= 64 for each in (one, two))
    assert fitting("é" * 100 + "a", 64) == one


@pytest.mark.parametrize("name", [LONG, "a" * 300, "é", "", "a_b"])
def test_a_project_has_a_name_that_keystone_takes(name: str) -> None:
    made = tenant(name)
    assert 5 < len(made.name) <= KEYSTONE_PROJECT
    assert made.name[0] != "-"
    assert made.name != tenant(name).name
    if name.isascii():
        assert made.name.startswith(name.replace("_", "-")[:50])


def test_modules_with_one_beginning_have_different_projects() -> None:
    assert tenant(LONG + "_one").name[:-5] != tenant(LONG + "_two").name[:-5]


def test_ports_of_a_long_name_have_names_and_devices_that_neutron_takes() -> None:
    api = FakeNetworkApi()
    made = tenant(LONG, api)
    made._undo = SimpleNamespace(callback=lambda *_, **__: None)  # type: ignore[assignment]
    network: Any = SimpleNamespace(id="n")
    made.ports(network, "compute-1", ["x" * 300 + "1", "x" * 300 + "2"])
    first, second = api.sent
    assert first["name"] != second["name"]
    assert first["device_id"] == second["device_id"]
    for each in (first["name"], second["name"], first["device_id"]):
        assert each.startswith(made.name)
        assert len(each) <= NEUTRON


def test_a_namespace_has_a_name_that_is_a_file_and_begins_with_its_project() -> None:
    project = tenant(LONG).name
    long = [namespace_name(project, "y" * 300 + end) for end in "ab"]
    odd = [namespace_name(project, name) for name in ("a/b", "a b", "é", "a_b")]
    assert len({*long, *odd}) == 6
    for each in [*long, *odd]:
        assert each.startswith(f"kl-{project}-")
        assert "/" not in each
        assert " " not in each
        # With the names of units in it.
        assert len(f"kollalab-{each}-receiver-1000.service") <= FILE
    assert namespace_name("p-1a2b", "probe-1") == "kl-p-1a2b-probe-1"
