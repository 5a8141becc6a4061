"""Nodes on real docker: they come up with systemd, survive a restart, and leave nothing."""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from pytest_kollalab.engine import owners, records
from pytest_kollalab.engine.records import Record, Tag
from pytest_kollalab.lab import doctor
from pytest_kollalab.providers import addresses, capabilities
from pytest_kollalab.providers.base import NODES
from pytest_kollalab.providers.docker import networks, spec, whose
from pytest_kollalab.providers.docker.container import make_container
from pytest_kollalab.report import artifacts
from pytest_kollalab.report.masking import Redactor
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.cloud import preflight
from pytest_kollalab.stages.nodes import await_node
from pytest_kollalab.system import daemon
from pytest_kollalab.system.errors import BusyError, StageError
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.ssh import Ssh
from pytest_kollalab.system.wait import NotYet, until
from tests.integration.docker_lab import Built, left

pytestmark = pytest.mark.xdist_group("docker-nodes")
# Two runs on one host, each with a state of its own, must not meet.
RUN = secrets.token_hex(2)
LAB = f"itest-{RUN}"
BROKEN = f"itest-broken-{RUN}"
FOREIGN = f"itest-foreign-{RUN}"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    built = Built(tmp_path_factory.mktemp("nodes"), LAB)
    built.destroy()
    built.create()
    yield built
    built.destroy()
    built.destroy()
    assert left(LAB) == []


@pytest.mark.parametrize("node", NODES)
def test_systemd_runs_the_node(nodes: Built, node: str) -> None:
    assert nodes.run(node, "systemctl is-system-running; hostname; cat /proc/1/comm") == (
        f"running\n{node}\nsystemd"
    )


def test_a_lab_knows_which_docker_made_it(nodes: Built) -> None:
    who = nodes.made.extra["docker"]
    assert who == whose.identity(docker.from_env(), daemon.resolve())
    assert docker.from_env().info()["ID"] in who["id"]
    # A record keeps it.
    assert nodes.made.to_json()["docker"] == who


def test_interfaces_are_named_after_their_networks(nodes: Built) -> None:
    links = nodes.run("controller-1", "ip -o -4 address show scope global")
    found = {line.split()[1]: line.split()[3].split("/")[0] for line in links.splitlines()}
    addresses = nodes.made.controller
    assert found == {"prov0": addresses.provisioning, "mgmt0": addresses.management}
    assert nodes.run("controller-1", "cat /sys/class/net/tun0/mtu /sys/class/net/ext0/mtu") == (
        "1600\n1500"
    )


def test_nodes_know_each_other_by_one_address(nodes: Built) -> None:
    for node in NODES:
        address = nodes.made.nodes[node].management
        assert nodes.run("controller-1", f"getent ahostsv4 {node} | cut -d' ' -f1 | sort -u") == (
            address
        )
    nodes.run("controller-1", "ping -c 1 -W 2 compute-1")


def agree(nodes: Built) -> None:
    ssh = Ssh(nodes.made.ssh_config)
    preflight.check(ssh, {name: node.management for name, node in nodes.made.nodes.items()})


def test_a_node_without_dns_knows_the_others_and_one_without_names_is_told(nodes: Built) -> None:
    nodes.run("compute-1", "cp /etc/resolv.conf /etc/hosts /root; : > /etc/resolv.conf")
    try:
        agree(nodes)
        nodes.run("compute-1", "echo 127.0.0.1 localhost > /etc/hosts")
        with pytest.raises(StageError, match="do not find each other by name") as caught:
            agree(nodes)
        assert caught.value.details == (
            "compute-1: controller-1 is unknown\ncompute-1: compute-1 is unknown"
        )
        assert "/etc/resolv.conf" in caught.value.hint
    finally:
        nodes.run("compute-1", "cd /root && for f in hosts resolv.conf; do cat $f > /etc/$f; done")
    agree(nodes)


def test_clocks_that_differ_are_told(nodes: Built) -> None:
    # Containers have the clock of their host: a command that tells another time stands for it.
    late = 'exec /usr/bin/date --date="90 seconds ago" "$@"'
    script = f"printf '%s\\n' '#!/bin/sh' {shlex.quote(late)} > /usr/local/bin/date"
    nodes.run("compute-1", f"{script}; chmod +x /usr/local/bin/date")
    try:
        with pytest.raises(StageError, match="clocks of the nodes differ") as caught:
            agree(nodes)
        # As far as the time that the answer took does not explain it.
        assert re.search(r"compute-1 is (90|[78]\d) s behind this host", caught.value.details)
        assert "NTP" in caught.value.hint
    finally:
        nodes.run("compute-1", "rm /usr/local/bin/date")


def test_a_node_runs_privileged_containers(nodes: Built) -> None:
    archive = "tar -ch /usr/bin/true $(ldd /usr/bin/true | grep -o '/[^ ]*')"
    nodes.run("compute-1", f"{archive} 2>/dev/null | docker import - local/true >/dev/null")
    nodes.run("compute-1", "docker run --rm --privileged --network host local/true /usr/bin/true")
    nodes.run("compute-1", "docker rmi local/true >/dev/null")


def test_the_tun_device_can_be_opened(nodes: Built) -> None:
    assert nodes.run(
        "compute-1", "ip tuntap add dev t0 mode tap && ip -o link show t0 | wc -l"
    ) == ("1")
    nodes.run("compute-1", "ip link delete t0")


def test_the_underlay_address_follows_its_bridge(nodes: Built) -> None:
    address = nodes.made.nodes["compute-1"].tunnel
    for _ in range(2):
        # A plain tap stands for what every start of ovs-vswitchd makes anew.
        nodes.run("compute-1", "ip tuntap add dev br-phy mode tap")
        shown = "ip -o -4 address show dev br-phy"

        def addressed(command: str = shown) -> bool | NotYet:
            said = nodes.run("compute-1", command)
            return True if address in said else NotYet(said)

        until("br-phy has its address", addressed, timeout=60, interval=0.1)
        nodes.run("compute-1", "ip link delete br-phy")


def test_what_open_vswitch_has_answers_for_no_address_of_the_kernel(nodes: Built) -> None:
    # Linux answers for all its addresses on all its interfaces, unless told not to.
    nodes.run("controller-1", "ip address add 198.18.0.1/32 dev lo")
    try:
        heard = {}
        for interface in ("prov0", "tun0", "ext0"):
            nodes.run("compute-1", f"ip address add 198.18.0.2/32 dev {interface}")
            nodes.run("compute-1", f"ip route replace 198.18.0.1 dev {interface}")
            nodes.run("compute-1", "ping -c 1 -W 1 198.18.0.1 || true")
            heard[interface] = nodes.run("compute-1", f"ip neighbor show dev {interface} nud all")
            nodes.run("compute-1", f"ip address delete 198.18.0.2/32 dev {interface}")
    finally:
        nodes.run("controller-1", "ip address delete 198.18.0.1/32 dev lo")
    answered = [name for name, said in heard.items() if "198.18.0.1 lladdr" in said]
    assert answered == ["prov0"]


def test_the_host_fills_in_checksums(nodes: Built) -> None:
    bridge = spec.bridge_name(LAB, "external")
    script = f"ethtool -k {bridge} | grep tx-checksumming"
    output = docker.from_env().containers.run(
        _image(nodes), ["sh", "-c", script], network_mode="host", remove=True
    )
    assert output.decode().split() == ["tx-checksumming:", "off"]


# A node is a container with a docker in it, as CI services are (`docker:dind`).
SERVE = """
setsid socat TCP-LISTEN:2375,fork,reuseaddr UNIX:/var/run/docker.sock >/dev/null 2>&1 &
timeout 20 sh -c 'until socat -u OPEN:/dev/null TCP:127.0.0.1:2375 2>/dev/null; do sleep 0.1; done'
"""


def test_a_docker_in_a_container_is_not_taken_for_this_hosts(
    nodes: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = nodes.made.nodes["compute-1"].provisioning
    nodes.run("compute-1", SERVE)
    paths = Paths(cache=tmp_path, state=tmp_path)
    try:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{node}:2375")
        (problem,) = whose.problems(tmp_path)
        assert f"at tcp://{node}:2375 (DOCKER_HOST)" in problem.what
        assert "does not have the folders of this host" in problem.what
        assert "DOCKER_HOST=unix:///var/run/docker.sock" in problem.fix
        assert f'provider_uri = "tcp://{node}:2375"' in problem.fix
        # Nothing is left of the question, and nothing was made there.
        assert list(tmp_path.iterdir()) == []
        assert nodes.run("compute-1", "docker ps -aq") == ""
        found = {each.what: each for each in doctor.examine(Config(), Options(), paths)}
        assert (found["docker for labs"].status, found["docker for labs"].found) == (
            "problem",
            problem.what,
        )
        nodes.run("compute-1", "docker network create --subnet 198.18.7.0/24 elsewhere")
        which = daemon.resolve()
        (problem,) = whose.networks(which.client(), which)
        assert "has its networks elsewhere" in problem.what
        assert "--network host" in problem.fix
    finally:
        nodes.run("compute-1", "docker network rm elsewhere; pkill socat; true")


def test_nodes_are_made_by_a_docker_that_drops_only_what_it_has(
    nodes: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The node's docker is newer than that of many a host, and lacks what the host lacks.
    status = nodes.run("compute-1", "cat /proc/self/status")
    lacking = capabilities.missing(status) or ("SYS_RESOURCE",)
    nodes.run("compute-1", "tar -c /etc/hostname | docker import - local/nothing >/dev/null")
    nodes.run("compute-1", SERVE)
    try:
        node = nodes.made.nodes["compute-1"].provisioning
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{node}:2375")
        client = daemon.connect()
        body = {
            "Image": "local/nothing",
            "Cmd": ["nothing"],
            "HostConfig": {"CapAdd": ["ALL"], "CapDrop": sorted(lacking), "NetworkMode": "none"},
        }
        made = make_container(client, body, "as-a-node")
        assert client.api.inspect_container(made)["HostConfig"]["CapAdd"] == ["ALL"]
        # Whatever else is wrong is told.
        with pytest.raises(docker.errors.APIError, match="No such image"):
            make_container(client, {**body, "Image": "local/none"}, "another")
    finally:
        nodes.run("compute-1", "pkill socat; docker rm as-a-node; docker rmi local/nothing")


PASSWORD = "Zx9CvB2nM4aSdF7gHjK1lQwE"
TOKEN = "gAAAAABpIhJ1q8Vw-Z_x0b1T5uE9kF3rJc7yN2mXhLs4dPaGvQoWtU6iBzRjKeYfSCnM"
# A service that logs, a container that prints, the journal, and a process in a namespace, each
# with what no artifact may tell.
PLANT = f"""
mkdir -p /var/log/kolla/neutron
cd /var/log/kolla/neutron
echo "2001-01-01 00:00:00.000 7 INFO neutron [-] long ago" > server.log
date '+%F %T.%3N 7 ERROR neutron [-] X-Auth-Token: {TOKEN} {PASSWORD}' >> server.log
logger "the password is {PASSWORD}"
ip netns add planted
ip netns exec planted sh -c 'sleep 60 < /dev/null > /dev/null 2>&1; : {PASSWORD}' > /dev/null 2>&1 &
tar -ch /usr/bin/echo $(ldd /usr/bin/echo | grep -o '/[^ ]*') 2> /dev/null |
    docker import - local/echo
docker run --name planted --network none local/echo /usr/bin/echo {TOKEN} {PASSWORD}
"""
CLEAN = """
ip netns pids planted | xargs -r kill
ip netns delete planted
docker rm planted
docker rmi local/echo
rm -r /var/log/kolla
"""


def test_the_artifacts_of_a_nodes_last_minute_tell_all_but_secrets(
    nodes: Built, tmp_path: Path
) -> None:
    ssh = Ssh(nodes.made.ssh_config)
    began = time.time()
    nodes.run("controller-1", PLANT)
    try:
        asked = artifacts.sources(
            ssh,
            NODES,
            artifacts.Span(began, time.time()),
            last_words=lambda node: nodes.provider.last_words(LAB, node),
            commands={"mine": f"echo mine {PASSWORD}"},
        )
        had = artifacts.collect(asked)
    finally:
        nodes.run("controller-1", CLEAN)
    assert time.time() - began < 20
    assert had.problems == ()
    names = artifacts.write(tmp_path, had.files, Redactor([PASSWORD]))
    for node in NODES:
        for name in ("console", "docker-ps", "namespaces", "network", "system"):
            assert f"{node}/{name}.txt" in names
    planted = {
        "containers/planted.log": "********",
        "kolla/neutron/server.log": "X-Auth-Token: ********",
        "journal.txt": "the password is ********",
        "namespaces.txt": "== planted",
        "others/mine.txt": "mine ********",
    }
    for name, seen in planted.items():
        assert seen in (tmp_path / "controller-1" / name).read_text(), name
    everything = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert PASSWORD not in everything
    assert TOKEN not in everything
    assert "long ago" not in everything


def test_a_restart_brings_the_same_node_back(nodes: Built) -> None:
    client = docker.from_env()
    container = client.containers.get(spec.resource_name(LAB, "compute-1"))
    container.kill()
    assert nodes.provider.gone(LAB, nodes.made) is None
    assert nodes.provider.halted(LAB, nodes.made) == ["compute-1"]
    nodes.provider.start(nodes.work().tag, nodes.made, None)
    assert nodes.provider.halted(LAB, nodes.made) == []
    await_node(nodes.provider, LAB, Ssh(nodes.made.ssh_config), "compute-1")
    assert nodes.provider.gone(LAB, nodes.made) is None
    test_interfaces_are_named_after_their_networks(nodes)
    test_nodes_know_each_other_by_one_address(nodes)
    assert nodes.run("compute-1", "stat -c %t:%T /dev/net/tun; ls /run/netns | wc -l") == "a:c8\n0"


def test_a_node_that_does_not_come_up_says_why_and_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = spec.packaged_files() | {
        "first-process": "#!/bin/sh\necho no such planet >&2\nexit 7\n"
    }
    monkeypatch.setattr(spec, "packaged_files", lambda: broken)
    built = Built(tmp_path, BROKEN)
    with pytest.raises(StageError, match="did not come up") as caught:
        built.create()
    assert "no such planet" in caught.value.details
    assert "exit code 7" in caught.value.details
    assert left(BROKEN) == []
    assert not (tmp_path / "nodes").exists()


def test_a_subnet_that_is_taken_is_passed_over() -> None:
    client = docker.from_env()
    tag = Tag(FOREIGN, "nodes", "key", "run")
    wish = addresses.pick(FOREIGN, [])
    pool = docker.types.IPAMPool(subnet=str(wish))
    ipam = docker.types.IPAMConfig(pool_configs=[pool])
    other = client.networks.create(f"other-{FOREIGN}", ipam=ipam)
    try:
        taken = [*addresses.in_use(), *addresses.in_docker(client.api.networks())]
        found = networks.make(client, tag, NODES, taken)
        assert not any(subnet.cidr.overlaps(wish) for subnet in found.values())
    finally:
        other.remove()
        for network in client.networks.list(filters={"label": f"kollalab.lab={FOREIGN}"}):
            network.remove()


def test_the_lab_of_another_client_with_our_name_is_left_alone(tmp_path: Path) -> None:
    client = docker.from_env()
    home = tmp_path / "theirs"
    record = Record("nodes", "key", "run", "ready", inputs={})
    records.save(home / "labs" / FOREIGN / "nodes.json", record)
    theirs = owners.tag(FOREIGN, "nodes", "key", "run", home)
    # Another laptop, whose paths may be the same as here.
    elsewhere = replace(theirs, home=str(tmp_path), host="another", made="2026-01-01T00:00:00Z")
    for tag in (theirs, elsewhere):
        name = spec.resource_name(FOREIGN, "tunnel")
        network = client.networks.create(name, driver="bridge", internal=True, labels=tag.labels())
        try:
            built = Built(tmp_path, FOREIGN)
            built.destroy()
            network.reload()
            with pytest.raises(BusyError, match="is not yours") as caught:
                built.create()
            assert tag.user in caught.value.details
            assert "--kollalab-name" in caught.value.hint
            network.reload()
        finally:
            network.remove()


def test_what_a_deleted_state_folder_of_this_host_left_goes_with_its_name(tmp_path: Path) -> None:
    client = docker.from_env()
    home = tmp_path / "theirs"
    young = owners.tag(FOREIGN, "nodes", "key", "run", home)
    old = replace(young, made="2026-01-01T00:00:00Z")
    shutil.rmtree(home)
    for tag, stays in ((young, 1), (old, 0)):
        name = spec.resource_name(FOREIGN, "tunnel")
        network = client.networks.create(name, driver="bridge", internal=True, labels=tag.labels())
        try:
            Built(tmp_path, FOREIGN).destroy()
            assert len(left(FOREIGN)) == stays
        finally:
            with suppress(docker.errors.NotFound):
                network.remove()


def test_what_has_our_name_and_not_our_tag_is_left_alone(tmp_path: Path) -> None:
    name = spec.resource_name(FOREIGN, "tunnel")
    foreign = docker.from_env().volumes.create(f"kollalab-{FOREIGN}-compute-1-docker")
    network = docker.from_env().networks.create(name, driver="bridge", internal=True)
    try:
        built = Built(tmp_path, FOREIGN)
        built.destroy()
        with pytest.raises(StageError, match="not ours") as caught:
            built.create()
        assert name in caught.value.details
        network.reload()
        foreign.reload()
    finally:
        network.remove()
        foreign.remove()
    assert left(FOREIGN) == []


def _image(nodes: Built) -> str:
    container = docker.from_env().containers.get(spec.resource_name(LAB, "compute-1"))
    return str(container.attrs["Config"]["Image"])
