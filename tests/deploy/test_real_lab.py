"""One real lab: stopped and killed in the middle of its deploy, recovered, shared, lent, removed.

The tests are the chapters of one story, in this order; each goes on where the one before ended.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import docker
import pytest
import yaml

from pytest_kollalab.features.registry import REGISTRY
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.providers.docker.spec import resource_name
from pytest_kollalab.settings.config import Options
from pytest_kollalab.stages.cloud import health
from pytest_kollalab.stages.cloud.clouds_yaml import cloud_name
from pytest_kollalab.stages.cloud.connect import connect
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.system import process
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.ssh import Ssh
from tests import host_state
from tests.crash.census import Trail, take
from tests.deploy.outside import EXAMPLE, ProcessList, Session, Sessions, await_it, passed
from tests.host_state import State

LAB = "deploy"
# The smoke scenarios and the example project, which has a feature of its own.
ALL = ("-m", "kollalab_smoke", "scenarios", "examples/other-project")
# In the middle: both nodes are at it, and half of the services are not there yet.
TASKS = 60


FAILING = """
def test_fails(openstack_cloud, lab_nodes):
    assert lab_nodes["controller-1"].host.run("docker ps -q").stdout.count("\\n") < 3

def test_passes(openstack_cloud):
    pass
"""


@pytest.fixture(scope="module")
def before() -> State:
    return host_state.look(LAB)


@pytest.fixture(scope="module")
def sessions(before: State, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    folder = tmp_path_factory.mktemp("deploy")
    made = Sessions(folder, folder / "state", LAB)
    yield made
    made.stop()
    # Whatever went wrong on the way: nothing of this story stays.
    made.start(f"--kollalab-name={LAB}", "--kollalab-destroy").end()


@pytest.fixture(scope="module")
def trail(sessions: Sessions) -> Trail:
    return Trail(f"kollalab.lab={LAB}", (sessions.state / "labs" / LAB,))


def tasks(sessions: Sessions, run: str = "deploy-*") -> int:
    """How many tasks of the deploy itself, or of another run of playbooks, have begun."""
    logs = (sessions.state / "labs" / LAB / "logs").glob(f"cloud-{run}.log")
    return sum(log.read_text(errors="replace").count("\nTASK [") for log in logs)


def passwords(sessions: Sessions) -> list[str]:
    """What is secret of the lab; nothing before there are any."""
    path = sessions.state / "labs" / LAB / "cloud" / "etc" / "passwords.yml"
    known = (yaml.safe_load(path.read_text()) if path.exists() else None) or {}
    return [
        line
        for value in known.values()
        for line in (value.values() if isinstance(value, dict) else [value])
        if isinstance(line, str) and len(line) > 10
    ]


def check_nothing_is_left(sessions: Sessions, trail: Trail) -> None:
    after = take(trail)
    assert not any(after.values()), after
    assert list((sessions.state / "runs").iterdir()) == []


def project(sessions: Sessions, name: str) -> Path:
    """A folder with what the example project brings, and no test of its own."""
    unwanted = shutil.ignore_patterns("test_*", "__pycache__", ".*")
    return Path(shutil.copytree(EXAMPLE, sessions.folder / name, ignore=unwanted))


def in_the_middle(sessions: Sessions, trail: Trail, before: int = 0) -> Session:
    """A session of two workers that has come to the middle of the deploy."""
    session = sessions.at_the_lab("-n", "2", *ALL, keep="never")
    await_it("the middle of the deploy", session, lambda: tasks(sessions) >= before + TASKS)
    trail.pids.append(session.process.pid)
    take(trail)
    return session


def test_ctrl_c_in_the_middle_of_the_deploy_takes_all_away(
    sessions: Sessions, trail: Trail
) -> None:
    session = in_the_middle(sessions, trail)
    asked = time.monotonic()
    session.signal(signal.SIGINT)
    assert session.end(120) == pytest.ExitCode.INTERRUPTED, session.said
    sys.stdout.write(f"Ctrl-C: all was gone after {time.monotonic() - asked:.0f} s\n")
    said = session.said
    assert f"kollalab: Ctrl-C: ending the tests, then removing lab {LAB}" in said
    assert "Traceback" not in said
    check_nothing_is_left(sessions, trail)


def test_a_kill_in_the_middle_is_what_the_next_run_goes_on_from(
    sessions: Sessions, trail: Trail
) -> None:
    session = in_the_middle(sessions, trail)
    of_others = set(process.orphans())
    session.signal(signal.SIGKILL)
    session.end(10)
    left = take(trail)
    # The nodes, one of them a feature's own, and the registry.
    assert left["containers"] == 4, left
    orphans = [pid for pid in process.orphans() if pid not in of_others]
    sys.stdout.write(f"killed: left are {left} and {len(orphans)} processes of the deploy\n")

    with ProcessList(lambda: passwords(sessions)) as shown:
        recovered = sessions.at_the_lab("-n", "2", *ALL)
        said = passed(recovered, ["; goes on where that stopped", "cloud: built in"])
    assert shown.looks > 1000
    assert shown.found == set()
    assert said.count("cloud: build (") == 1
    assert [pid for pid in orphans if process.runs(pid)] == []
    assert re.search(r"\[gw\d\] deploy: waiting for gw\d, process \d+ \(build ", said)


def test_the_example_project_runs_in_its_own_folder(sessions: Sessions) -> None:
    said = passed(sessions.at_the_lab(cwd=EXAMPLE), ["1 passed"])
    assert re.search(r"^kollalab: cloud +reuse", said, re.MULTILINE), said


def test_two_runs_at_once(sessions: Sessions) -> None:
    scenarios = sessions.at_the_lab("-n", "2", *ALL)
    example = sessions.at_the_lab(cwd=EXAMPLE)
    for session in (scenarios, example):
        assert "cloud: build" not in passed(session)


def test_a_failure_has_artifacts_that_tell_no_secret(sessions: Sessions) -> None:
    folder = project(sessions, "failing")
    (folder / "test_failing.py").write_text(FAILING)
    session = sessions.at_the_lab(
        "-n", "2", f"--kollalab-artifacts={folder / 'out'}", "--junitxml=junit.xml", cwd=folder
    )
    assert session.end() == pytest.ExitCode.TESTS_FAILED, session.said
    cases = ElementTree.parse(folder / "junit.xml").iter("testcase")
    links = {
        str(case.get("name")): str(entry.get("value"))
        for case in cases
        for entry in case.iter("property")
        if entry.get("name") == "kollalab_artifacts"
    }
    assert set(links) == {"test_fails"}
    kept = folder / "out" / links["test_fails"]
    about = json.loads((kept / "about.json").read_text())
    sys.stdout.write(f"artifacts: {len(about['files'])} files in {about['seconds']} s\n")
    for node, container in (("controller-1", "neutron_server"), ("compute-1", "nova_compute")):
        for name in ("docker-ps.txt", "namespaces.txt", "console.txt",
                     "ovs/br-int.flows.txt", "ovs/br-int.ports.txt"):  # fmt: skip
            assert (kept / node / name).stat().st_size, f"{node}/{name}"
        assert container in (kept / node / "docker-ps.txt").read_text()
    # Of the logs, only those that had something to say then.
    assert (kept / "controller-1" / "kolla" / "keystone" / "keystone.log").stat().st_size
    told = [folder / "junit.xml", session.log, *(p for p in kept.rglob("*") if p.is_file())]
    secrets = passwords(sessions)
    assert len(secrets) > 50
    for path in told:
        text = path.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], path
        assert "gAAAA" not in text, path


def test_a_reused_lab_is_used_as_it_is(sessions: Sessions) -> None:
    """What that takes is the figure `idle_overhead_seconds` of the benchmarks."""
    folder = project(sessions, "reused")
    (folder / "test_reused.py").write_text("def test_it(openstack_cloud):\n    pass\n")
    said = passed(sessions.at_the_lab("test_reused.py", cwd=folder), ["1 passed"])
    for stage in ("tools", "images", "nodes", "cloud"):
        assert re.search(rf"^{stage} +reuse ", said, re.MULTILINE), said
    assert ": build" not in said


def test_its_cloud_serves_a_run_that_has_no_lab(sessions: Sessions, trail: Trail) -> None:
    clouds = sessions.state / "labs" / LAB / "cloud" / "clouds.yaml"
    before = take(trail)
    session = sessions.start(
        "scenarios", f"--kollalab-cloud={cloud_name(LAB)}", "--kollalab-name=guest",
        KOLLALAB_STATE=str(sessions.folder / "guest"),
        OS_CLIENT_CONFIG_FILE=str(clouds),
    )  # fmt: skip
    said = passed(session)
    assert re.search(r"\d+ passed", said), said
    assert "access to nodes needs a lab; this is an external cloud" in said
    assert "the stage images needs a lab; this run uses the cloud" in said
    assert "removing lab" not in said
    assert not (sessions.folder / "guest" / "labs" / "guest").exists()
    assert {k: v for k, v in take(trail).items() if k in ("containers", "networks")} == {
        k: v for k, v in before.items() if k in ("containers", "networks")
    }


def test_an_agent_that_does_not_come_up_is_named(sessions: Sessions, tmp_path: Path) -> None:
    lab = Lab(options=Options(name=LAB), paths=Paths(sessions.state / "cache", sessions.state))
    nodes, cloud = lab.made(NodesMade), lab.made(CloudMade)
    assert nodes is not None
    assert cloud is not None
    ssh, connection = Ssh(nodes.ssh_config), connect(cloud)
    features = REGISTRY.resolve(("compute", "sfc"), "2026.1")

    def wait(slowness: float) -> None:
        health.wait_until_healthy(
            features, nodes.nodes, ssh, connection, slowness=slowness, log=tmp_path / "log"
        )

    ssh.run("controller-1", ["docker", "stop", "neutron_dhcp_agent"])
    try:
        with pytest.raises(StageError, match="did not become healthy") as caught:
            wait(0.02)
        assert "controller-1: neutron_dhcp_agent is exited" in caught.value.details
        assert "/var/log/kolla" in caught.value.hint
    finally:
        ssh.run("controller-1", ["docker", "start", "neutron_dhcp_agent"])
    wait(1.0)
    connection.close()


def test_the_last_one_out_removes_it(sessions: Sessions, trail: Trail) -> None:
    take(trail)
    first = sessions.at_the_lab("-n", "2", *ALL, keep="never")
    # Whoever says this of images has its lease of the lab.
    await_it("a use of the lab", first, lambda: "images  reuse" in first.said)
    second = sessions.at_the_lab(keep="never", cwd=EXAMPLE)
    both = passed(first) + passed(second)
    assert both.count(f"lab {LAB} was removed in") == 1
    check_nothing_is_left(sessions, trail)


def test_a_task_that_fails_is_told_in_four_lines(sessions: Sessions) -> None:
    wrong = "[globals]\nfernet_token_expiry = 604801\n"
    session = sessions.at_the_lab(cwd=EXAMPLE, keep="never", toml=wrong)
    assert session.end() == pytest.ExitCode.TESTS_FAILED, session.said
    said = session.said
    told = re.search(r"^prechecks failed\n((?:  .*\n)+)", said, re.MULTILINE)
    assert told is not None, said
    where, *message = told[1].splitlines()
    assert re.fullmatch(r"  (controller|compute)-1: .* : .*", where), told[1]
    assert "fernet_token_expiry must be an integer" in told[1]
    lines = [line for line in message if line.startswith("    ")]
    assert 1 <= len(lines) <= 4 * 3, told[1]
    assert "  log: " in told[1]
    assert "  what now: the log tells more" in told[1]
    assert "Traceback" not in said


def test_a_node_that_dies_while_it_is_deployed_is_named(sessions: Sessions, trail: Trail) -> None:
    session = sessions.at_the_lab(cwd=EXAMPLE, keep="never", toml="")
    await_it("prechecks", session, lambda: tasks(sessions, "prechecks") >= 10)
    take(trail)
    docker.from_env().containers.get(resource_name(LAB, "compute-1")).kill()
    assert session.end() == pytest.ExitCode.TESTS_FAILED, session.said
    assert "the node compute-1 died during the deploy" in session.said
    assert "compute-1 ended with exit code 137" in session.said
    check_nothing_is_left(sessions, trail)


def test_the_host_is_as_it_was(before: State, sessions: Sessions) -> None:
    assert list((sessions.state / "runs").iterdir()) == []

    host_state.await_same(before, LAB)
