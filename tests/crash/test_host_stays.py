"""The host is after a lab what it was before, and nothing on a node can change it in between."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_kollalab.providers.base import NODES
from tests import host_state
from tests.host_state import State
from tests.integration.docker_lab import Built

# With these tests, because nothing else of the project runs on the host beside them.
pytestmark = pytest.mark.short
LAB = f"itest-host-{secrets.token_hex(2)}"
# What each namespace of the network has for itself.
OF_A_NODE = "-path /proc/sys/net -prune -o"
# Tried with what is there already, so that a kernel that takes it is none the worse.
WRITE = """
for setting in kernel/core_pattern kernel/pid_max fs/nr_open fs/file-max vm/max_map_count \
        user/max_user_namespaces; do
    value=$(cat /proc/sys/$setting)
    (echo "$value" > /proc/sys/$setting) 2> /dev/null && echo "$setting can be written"
done
"""


@pytest.fixture(scope="module")
def before() -> Iterator[State]:
    # An earlier lab of any kind may have left what another one would make of it, so that nothing
    # would be seen: something that no program asks for, and that means the same.
    limit = Path("/proc/sys/fs/file-max")
    was = limit.read_text()
    limit.write_text(str(int(was) - 1))
    yield host_state.look(LAB)
    limit.write_text(was)


@pytest.fixture(scope="module")
def nodes(before: State, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    built = Built(tmp_path_factory.mktemp("nodes"), LAB)
    try:
        built.create()
        yield built
    finally:
        built.destroy()


@pytest.mark.parametrize("node", NODES)
def test_a_node_cannot_change_the_kernel_that_it_shares(nodes: Built, node: str) -> None:
    writable = f"find /proc/sys {OF_A_NODE} -type f -perm /222 -writable -print"
    assert nodes.run(node, f"{writable}; {WRITE} true") == ""
    switches = "test -w /proc/sysrq-trigger && echo sysrq; find /proc/irq -type f -writable"
    assert nodes.run(node, f"{switches}; true") == ""


def test_a_node_has_a_network_of_its_own_to_set(nodes: Built) -> None:
    setting = "net.ipv4.conf.lo.forwarding"
    there = Path("/proc/sys", setting.replace(".", "/"))
    value = there.read_text()
    other = "1" if value.strip() == "0" else "0"
    said = nodes.run("compute-1", f"sysctl -qw {setting}={other}; sysctl -n {setting}")
    assert said == other
    assert there.read_text() == value


def test_systemd_has_no_complaint(nodes: Built) -> None:
    for node in NODES:
        assert nodes.run(node, "systemctl is-system-running; systemctl --failed --quiet") == (
            "running"
        )


def test_the_host_is_as_it_was(before: State, nodes: Built) -> None:
    assert host_state.difference(before, host_state.look(LAB)), "it sees a lab"
    nodes.destroy()

    host_state.await_same(before, LAB)
