"""The artifacts of a failure: what nodes send, how late ones count, and that no secret is left."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from pytest_kollalab.engine import records
from pytest_kollalab.engine.records import Record
from pytest_kollalab.features.backend import OVS
from pytest_kollalab.features.registry import resolve
from pytest_kollalab.providers.base import NodeMade, NodesMade
from pytest_kollalab.report import artifacts, mine
from pytest_kollalab.report.failures import (
    ExternalCloudScene,
    FailedTest,
    Failures,
    LabScene,
    open_first,
    stage_logs,
)
from pytest_kollalab.report.masking import Redactor
from pytest_kollalab.report.window import Window, form
from pytest_kollalab.sdn.capture import decode
from pytest_kollalab.sdn.capture.packets import Frame
from pytest_kollalab.sdn.capture.recordings import Recordings
from pytest_kollalab.stages.cloud import external
from pytest_kollalab.system.errors import CommandError, KollalabError, StageError
from pytest_kollalab.system.ssh import Ssh

NOON = 1795348800.0  # 2026-11-22 12:00 UTC


def archive(files: Mapping[str, str]) -> str:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return base64.b64encode(stream.getvalue()).decode()


def test_the_script_of_the_nodes_is_one_that_a_shell_reads() -> None:
    commands = {"lldp": "lldpctl | grep -c 'x y'", "../a b": "echo $HOME"}
    text = artifacts.script(commands)
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    assert "take others/lldp sh -c 'lldpctl | grep -c '\"'\"'x y'\"'\"''\n" in text
    assert "take others/.._a_b sh -c 'echo $HOME'\n" in text
    assert text.index("take others/") < text.index("\nwait\n")


# What docker and journald say on a node. A bridge has neither groups nor addresses.
NODE = {
    "docker": """\
case "$1 $2" in
"ps --all") echo keystone ;;
"logs --timestamps") echo "$*" ;;
"exec openvswitch_vswitchd")
    echo "@@ br-int.groups"; echo "OFPST_GROUP_DESC reply (OF1.3) (xid=0x2):"; echo " group_id=7"
    echo "@@ br-int.macs"; echo " port  VLAN  MAC                Age"; echo "    1     0  a:b"
    echo "@@ br-ex.flows"; echo "OFPST_FLOW reply (OF1.3) (xid=0x2):"
    echo "@@ br-ex.groups"; echo "OFPST_GROUP_DESC reply (OF1.3) (xid=0x2):"
    echo "OFPST_GROUP reply (OF1.3) (xid=0x6):"
    echo "@@ br-ex.macs"; echo " port  VLAN  MAC                Age" ;;
esac
""",
    "journalctl": 'echo "$*"',
}


def test_a_node_sends_what_logs_said_before_and_no_empty_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in NODE.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    argv = ["sh", "-s", f"{NOON:.3f}", f"{NOON + 60:.3f}", "20"]
    told = subprocess.run(
        argv, input=artifacts.script({}), text=True, check=True, capture_output=True
    )
    files = artifacts.unpack(told.stdout)
    span = f"{NOON - 600:.0f} --until {NOON + 60:.3f}"
    assert files["containers/keystone.log"] == f"logs --timestamps --since {span} keystone\n"
    assert f"--since @{span.replace('until ', 'until @')}\n" in files["journal"]
    tables = sorted(name for name in files if name.startswith("ovs/"))
    assert tables == ["ovs/br-ex.flows", "ovs/br-int.groups", "ovs/br-int.macs"]


def test_logs_are_cut_to_the_nodes_own_span_and_states_are_not() -> None:
    log = "2026-11-22 12:59:00.000 7 INFO early\n2026-11-22 13:00:05.000 7 INFO within\n"
    logs = ("kolla/neutron/server.log", "containers/keystone.log", "journal")
    sent = archive({"window": f"{NOON} {NOON + 60} +0100\n", "problems": "", "docker-ps": log})
    assert artifacts.unpack(sent) == {"docker-ps": log}
    sent = archive({"window": f"{NOON} {NOON + 60} +0100\n", **dict.fromkeys(logs, log)})
    within = log.splitlines(keepends=True)[1]
    assert artifacts.unpack(sent) == dict.fromkeys(logs, within)


def test_logs_that_were_idle_are_named_and_left_out() -> None:
    beats = "".join(
        f"2026-11-22 12:{minute}:{second:02d}.000 7 INFO iteration {minute}{second}\n"
        for minute in range(50, 60)
        for second in range(0, 60, 10)
    )
    within = "2026-11-22 13:00:05.000 7 INFO iteration 999\n"
    sent = archive(
        {
            "window": f"{NOON} {NOON + 12} +0100\n",
            "kolla/skydive/agent.log": beats + within,
            "kolla/neutron/agent.log": beats + within + within.replace("iteration", "port"),
        }
    )
    told = artifacts.unpack(sent)
    assert told["idle"] == "kolla/skydive/agent.log\n"
    assert told["kolla/neutron/agent.log"].count("\n") == 2
    assert "kolla/skydive/agent.log" not in told


@pytest.mark.parametrize("name", ["kolla/neutron/agent.log", "journal"])
@pytest.mark.parametrize(
    ("before", "then"),
    [
        (
            "resync of port 0a1b2c3d-aaaa-bbbb-cccc-0123456789ab took 12 s",
            "resync of port 99999999-aaaa-bbbb-cccc-0123456789ab took 3 s",
        ),
        ("interface tapb62e3c1d-f9: no such device", "interface tap97415838-30: no such device"),
        ("no device qr-b62e3c1d-aa", "no device qr-1bcdefab-ff"),
        ("nobody has fa:16:3e:aa:bb:cc", "nobody has fa:16:3e:01:23:4d"),
    ],
    ids=["uuid", "tap", "router port", "mac"],
)
def test_the_timeline_has_no_messages_that_are_always_there(
    name: str, before: str, then: str
) -> None:
    lines = []
    for minute, second in ((50, 0), (50, 9), (53, 0), (56, 0), (59, 0)):
        lines.append(f"2026-11-22 12:{minute}:{second:02d}.000 7 WARNING agent {before}")
    lines.append("2026-11-22 12:50:30.000 7 ERROR agent a bridge is gone")
    within = (
        f"WARNING agent {then}",
        "ERROR agent a bridge is gone",
    )
    lines += [f"2026-11-22 13:00:05.000 9 {message}" for message in within]
    sent = archive({"window": f"{NOON} {NOON + 60} +0100\n", name: "\n".join(lines) + "\n"})
    files = {f"compute-1/{each}": text for each, text in artifacts.unpack(sent).items()}
    assert files["compute-1/usual"].count("\n") == 1
    told = artifacts.merged(files)
    assert told.count("\n") == 1
    assert told.endswith("ERROR agent a bridge is gone\n")
    # The log of the node itself is whole.
    assert within[0] in files[f"compute-1/{name}"]


ETHTOOL = "ethtool command ETHTOOL_GSET on network device tap2fa42bb6-e0 failed: No such device"
VERSIONS = "version negotiation failed (we support version 0x04, peer supports version 0x01)"
TRUNCATED = "Truncating password to algorithm specific maximum length 72 characters."
ABORTED = "Aborted connection 20 to db: 'unconnected' user: 'unauthenticated' host: 'controller-1'"
VSWITCHD = "compute-1/kolla/openvswitch/ovs-vswitchd.log"
AGENT = "compute-1/kolla/neutron/neutron-openvswitch-agent.log"
KEYSTONE = "controller-1/kolla/keystone/keystone.log"
MARIADB = "controller-1/kolla/mariadb/mariadb.log"
AT = "2026-11-22T12:00:05.000Z|00199|"
THEN = "2026-11-22 12:00:05.000 24 "
VIF = "136cecf7-91a2-4e0e-8d3c-0a55c1f4b8d1"


def merged_with_features(name: str, line: str) -> str:
    features = resolve(["sfc"], "2026.1")
    usual = [each for feature in features for each in feature.usual]
    telling = [each for feature in features for each in feature.telling]
    return artifacts.merged({name: f"{line}\n"}, usual, telling)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (VSWITCHD, f"{AT}bridge|ERR|interface tap07f950da-02: setting MAC failed (No such device)"),
        (VSWITCHD, f"{AT}netdev_linux|WARN|{ETHTOOL}"),
        (VSWITCHD, f"{AT}rconn|WARN|br-int<->unix#424: connection dropped (Protocol error)"),
        (VSWITCHD, f"{AT}vconn|WARN|unix#424: {VERSIONS}"),
        (KEYSTONE, f"{THEN}WARNING keystone.common.password_hashing [None req-1 - -] {TRUNCATED}"),
        (MARIADB, f"{THEN}[Warning] {ABORTED} (This connection closed without authentication)"),
    ],
)
def test_the_timeline_of_a_fresh_lab_has_no_lines_that_features_know(name: str, line: str) -> None:
    assert artifacts.merged({name: f"{line}\n"}).count("\n") == 1
    assert merged_with_features(name, line) == ""


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (VSWITCHD, f"{AT}bridge|ERR|interface br-tun: setting MAC failed (No such device)"),
        (VSWITCHD, f"{AT}rconn|WARN|br-int<->tcp:127.0.0.1:6633: connection dropped"),
        (AGENT, f"{THEN}ERROR agent setting MAC failed of interface tap07f950da-02"),
        (MARIADB, "2026-11-22 12:00:05 20 [ERROR] mariadbd: out of memory"),
    ],
)
def test_the_timeline_has_what_is_only_like_a_known_line(name: str, line: str) -> None:
    assert merged_with_features(name, line).endswith(f"{line}\n")


def test_the_timeline_tells_that_a_port_was_put_on_the_dead_vlan() -> None:
    line = (
        f"{THEN}INFO neutron.plugins.ml2.drivers.openvswitch.agent.ovs_neutron_agent [None] VIF "
        "port: ab181fdd-850d-41ff-b2f9-43f482cc84ff admin state up disabled, putting on the dead "
        "VLAN"
    )
    assert artifacts.merged({AGENT: f"{line}\n"}) == ""
    assert merged_with_features(AGENT, line).endswith(f"{line}\n")
    # Also if the node's log had it again and again before.
    files = {AGENT: f"{line}\n", "compute-1/usual": f"{form(line)}\n"}
    assert artifacts.merged(files, (), OVS.parts.telling).count("\n") == 1


@pytest.mark.parametrize(
    ("names", "phase", "first"),
    [
        (["failure.txt", "timeline.txt", "topology.svg"], "call", "timeline.txt"),
        (["failure.txt", "topology.svg"], "call", "topology.svg"),
        (["failure.txt"], "call", "failure.txt"),
        (["failure.txt", "stages/cloud.log", "timeline.txt"], "setup", "stages/cloud.log"),
    ],
)
def test_the_file_to_open_first(names: list[str], phase: str, first: str) -> None:
    assert open_first(names, phase) == first


@pytest.mark.parametrize(
    ("port", "first"),
    [(VIF, "timeline.txt"), ("another", "topology.svg")],
)
def test_a_timeline_of_other_sessions_alone_is_not_opened_first(
    tmp_path: Path, port: str, first: str
) -> None:
    said = f"VIF port: {VIF} admin state up disabled, putting on the dead VLAN"
    line = f"2026-11-22 12:00:01.000 7 INFO neutron.agent [-] {said}\n"

    class Shared:
        def redactor(self) -> Redactor:
            return Redactor()

        def collect(self, began: float, ended: float) -> artifacts.Collected:
            files = {AGENT: line, "topology.svg": "<svg/>"}
            return artifacts.Collected(files, telling=OVS.parts.telling or ())

    folder = tmp_path / "a"
    failure = FailedTest("a.py::test_a", "call", NOON, NOON + 60, "x", ports=frozenset([port]))
    summary = Failures(Shared(), tmp_path).keep(failure, folder)
    assert summary.startswith(f"open first: {folder / first}\n")
    assert said in (folder / "timeline.txt").read_text()


def test_a_line_that_names_no_port_can_be_of_any_test() -> None:
    assert mine.can_be_of("ERROR: the queue is gone", ["136cecf7-91a2"])
    assert mine.can_be_of("ERROR: no device tap136cecf7-91", ["136cecf7-91a2"])
    assert not mine.can_be_of("ERROR: no device tap07f950da-02", ["136cecf7-91a2"])
    # Nothing is known of a test without ports.
    assert mine.can_be_of("ERROR: no device tap07f950da-02", [])


def test_a_failure_with_known_lines_only_names_the_picture_to_open_first(tmp_path: Path) -> None:
    line = f"{AT}bridge|ERR|interface tap07f950da-02: setting MAC failed (No such device)\n"
    usual = [each for feature in resolve([], "2026.1") for each in feature.usual]

    class Fresh:
        def redactor(self) -> Redactor:
            return Redactor()

        def collect(self, began: float, ended: float) -> artifacts.Collected:
            return artifacts.Collected({VSWITCHD: line, "topology.svg": "<svg/>"}, usual=usual)

    folder = tmp_path / "a"
    failure = FailedTest("a.py::test_a", "call", NOON, NOON + 60, "assert 1 == 2")
    summary = Failures(Fresh(), tmp_path).keep(failure, folder)
    assert summary.startswith(f"open first: {folder / 'topology.svg'}\n")
    assert not (folder / "timeline.txt").exists()
    assert (folder / VSWITCHD).read_text() == line


@pytest.mark.parametrize(
    "sent",
    # Named: an archive holds the time, and workers must collect the same names.
    ["", "no base64!", "aGVsbG8=", pytest.param(archive({"a": "b" * 999})[:90], id="cut short")],
)
def test_what_is_no_archive_is_a_problem_and_no_crash(sent: str) -> None:
    with pytest.raises(KollalabError, match="no archive"):
        artifacts.unpack(sent)


def test_a_nodes_span() -> None:
    assert artifacts.parse_window("1.5 2.5 -0530\n") == Window(1.5, 2.5, -19800)
    assert artifacts.parse_window("") is None


def test_a_nodes_clock_is_ahead_only_if_the_way_to_it_cannot_explain_it() -> None:
    assert artifacts.skew("103.5\n", 100.0, 104.0) == 0.0
    assert artifacts.skew("162.0", 100.0, 104.0) == 60.0
    assert artifacts.skew("42.0", 100.0, 104.0) == -60.0
    with pytest.raises(KollalabError, match="clock says 'no'"):
        artifacts.skew("no\n", 0, 1)


def test_a_late_or_failing_source_costs_what_it_would_have_told(tmp_path: Path) -> None:
    stop = threading.Event()

    def late() -> Mapping[str, str]:
        stop.wait(60)
        return {"late": ""}

    def failing() -> Mapping[str, str]:
        raise CommandError("ssh failed with exit code 255", details="many\nlines")

    def broken() -> Mapping[str, str]:
        raise ZeroDivisionError

    started = time.monotonic()
    asked = {"a": late, "b": failing, "c": broken, "d": lambda: {"d/x": "text"}}
    had = artifacts.collect(asked, deadline=2.0)
    stop.set()
    assert time.monotonic() - started < 30
    assert had.files == {"d/x": "text"}
    assert had.problems == (
        "a: no answer within 2 s",
        "b: ssh failed with exit code 255",
        "c: ZeroDivisionError()",
    )


def test_nodes_and_consoles_are_asked_each_for_itself() -> None:
    asked = artifacts.sources(
        Ssh(Path("none")), ["a", "b"], artifacts.Span(0, 1), last_words=lambda node: node
    )
    assert list(asked) == ["a", "a's console", "b", "b's console"]
    assert asked["b's console"]() == {"b/console": "b"}


def test_names_from_a_node_stay_within_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "failure"
    names = artifacts.write(folder, {"../../etc/a b": "x", "/n/kolla/c:d.log": "y"}, str)
    assert sorted(names) == ["etc/a_b.txt", "n/kolla/c_d.log"]
    # The name that a feature gives is the file's.
    assert artifacts.write(folder, {"others/heat.txt": "x"}, str) == ["others/heat.txt"]
    names = artifacts.write(folder, {"../../etc/a b": "x", "/n/kolla/c:d.log": "y"}, str)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"a_b.txt", "c_d.log"}


def test_captures_are_files_without_secrets(tmp_path: Path) -> None:
    head = bytes(54)
    sent = head + b"GET / HTTP/1.1\r\nX-Auth-Token: the-token\r\nHost: h\r\n"
    frames = [Frame(1.0, sent, len(sent), "tap1"), Frame(2.0, head, 54, "tap1", "in")]
    names = artifacts.write(
        tmp_path / "x", {"a": "text"}, Redactor(["the-secret"]), {"controller-1/../b c": frames}
    )
    assert names == ["a.txt", "captures/controller-1/b_c.pcapng"]
    data = (tmp_path / "x" / names[1]).read_bytes()
    assert b"the-token" not in data
    cut, whole = decode.read(data)
    assert (cut.data, cut.length) == (sent[: sent.index(b"the-token")], len(sent))
    assert whole == frames[1]


def test_a_lab_tells_the_captures_of_the_span(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Running:
        """A capture whose last frame is still to be had when the test has failed."""

        def pull(self) -> None:
            kept.add("compute-1-observer", [Frame(NOON + 5, bytes(14), 14)])

    kept, running = Recordings(), Running()
    kept.running.add(running)
    kept.add("compute-1-observer", [Frame(NOON - 50, bytes(14), 14)])
    monkeypatch.setattr("pytest_kollalab.sdn.capture.recordings.RECORDINGS", kept)
    made = NodesMade(
        provider="docker",
        nodes={"compute-1": NodeMade("", "", "", "")},
        interfaces={},
        networks={},
        ssh_config=tmp_path / "none",
        ssh_key=tmp_path / "none",
    )
    record = Record("nodes", "key", "run", records.READY, {}, made=made.to_json())
    records.save(lab / "nodes.json", record)
    ssh, provider = Ssh(tmp_path / "none"), SimpleNamespace(last_words=lambda *_: "")
    scene = LabScene(lab, lambda: ssh, lambda: provider)  # type: ignore[arg-type, return-value]
    told = scene.collect(NOON, NOON + 10)
    assert [frame.time for frame in told.captures["compute-1-observer"]] == [NOON + 5]


def test_a_failures_folder_replaces_the_one_before(tmp_path: Path) -> None:
    artifacts.write(tmp_path / "x", {"old": "text"}, str)
    artifacts.write(tmp_path / "x", {"new": "text"}, str)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["new.txt"]


def test_folders_are_named_after_tests_and_never_the_same() -> None:
    one = artifacts.slug("scenarios/sfc/test_chain.py::test_path[a-b]")
    two = artifacts.slug("scenarios/sfc/test_chain.py::test_path[a_b]")
    other = artifacts.slug("scenarios/sfc/test_chain.py::test_path[a/b]")
    assert one.startswith("scenarios-sfc-test_chain-test_path-a-b-")
    assert len({one, two, other}) == 3
    assert len(artifacts.slug("x" * 500)) <= artifacts.LONGEST_NAME + 7
    assert one == artifacts.slug("scenarios/sfc/test_chain.py::test_path[a-b]")


def test_logs_of_stages_count_when_they_were_written_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "cloud.log").write_text("TASK [x]")
    assert stage_logs(tmp_path, time.time() - 60) == {"stages/cloud.log": "TASK [x]"}
    assert stage_logs(tmp_path, time.time() + 60) == {}
    assert stage_logs(tmp_path / "none", 0) == {}


PASSWORDS = {
    "database_password": "nV5pQ8sTz1LrYw3XkJb6GhD0",
    "keystone_admin_password": "Zx9CvB2nM4aSdF7gHjK1lQwE",
}
TOKEN = "gAAAAABpIhJ1q8Vw-Z_x0b1T5uE9kF3rJc7yN2mXhLs4dPaGvQoWtU6iBzRjKeYfSCnM"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\n"
FORBIDDEN = (*PASSWORDS.values(), "ofclouds-yaml", "nobodys-file", TOKEN, "MIIEowIBAAKCAQEA")
PLANTED = (
    f"2026-11-22 12:00:01.000 7 ERROR db mysql://nova:{PASSWORDS['database_password']}@h/nova\n"
    f"pw {PASSWORDS['keystone_admin_password']} and ofclouds-yaml, X-Auth-Token: nobodys-file\n"
    f"token {TOKEN}\n{KEY}"
)
FILES = (
    "journal",
    "namespaces",
    "docker-ps",
    "system",
    "ovs/br-int.flows",
    "containers/keystone.log",
    "kolla/neutron/neutron-server.log",
    "problems",
)


class Planted(LabScene):
    """A site whose nodes send secrets in everything they send."""

    def collect(self, began: float, ended: float) -> artifacts.Collected:
        sent = archive({"window": f"{NOON} {NOON + 60} +0000", **dict.fromkeys(FILES, PLANTED)})

        def node() -> Mapping[str, str]:
            return {f"controller-1/{name}": text for name, text in artifacts.unpack(sent).items()}

        def broken() -> Mapping[str, str]:
            raise StageError(f"cannot log in with {PASSWORDS['database_password']}")

        console = {"controller-1/console": PLANTED}
        told = artifacts.collect({"a": node, "b": broken, "c": lambda: console})
        logs = stage_logs(self.folder / "logs", began)
        return artifacts.Collected({**told.files, **logs}, told.problems)


def no_nodes() -> Ssh:
    raise StageError("lab lab has no nodes")


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """The state folder of a lab with secrets, and with a log that tells them."""
    folder = tmp_path / "lab"
    etc = folder / "cloud" / "etc"
    etc.mkdir(parents=True)
    (etc / "passwords.yml").write_text(yaml.safe_dump(PASSWORDS))
    cloud = {"clouds": {"kollalab-lab": {"auth": {"password": "ofclouds-yaml"}}}}
    (folder / "cloud" / "clouds.yaml").write_text(yaml.safe_dump(cloud))
    (folder / "logs").mkdir()
    (folder / "logs" / "cloud.log").write_text(PLANTED)
    return folder


def test_no_planted_secret_is_in_any_artifact(lab: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    failures = Failures(Planted(lab, no_nodes, lambda: None), out)  # type: ignore[arg-type, return-value]
    summary = failures.keep(FailedTest("a.py::test_a", "call", NOON, NOON + 60, PLANTED), out / "a")
    written = {path: path.read_text() for path in out.rglob("*") if path.is_file()}
    # failure, timeline, about.json, the stage's log, the console, and what the node sent
    assert len(written) == 5 + len(FILES)
    for where, text in [*written.items(), ("summary", summary)]:
        for secret in FORBIDDEN:
            assert secret not in text, where
    assert summary.startswith(f"open first: {out / 'a' / 'timeline.txt'}\n")
    assert "12:00:01.000 controller-1/kolla/neutron" in (out / "a" / "timeline.txt").read_text()
    about = json.loads((out / "a" / "about.json").read_text())
    assert about["test"] == "a.py::test_a"
    assert about["began"] == "2026-11-22T12:00:00.000+00:00"
    assert about["problems"] == ["b: cannot log in with ********"]
    assert sorted(about["files"]) == sorted(
        str(path.relative_to(out / "a")) for path in written if path.name != "about.json"
    )


def test_secrets_are_remembered_when_the_lab_is_gone_and_learnt_when_it_is_deployed(
    lab: Path,
) -> None:
    site = LabScene(lab, no_nodes, lambda: None)  # type: ignore[arg-type, return-value]
    first = PASSWORDS["database_password"]
    assert first not in site.redactor()(first)
    passwords = lab / "cloud" / "etc" / "passwords.yml"
    passwords.write_text("database_password: the-new-one-of-a-new-deploy\n")
    assert "new-one" not in site.redactor()("the-new-one-of-a-new-deploy")
    passwords.unlink()
    (lab / "cloud" / "clouds.yaml").unlink()
    assert "new-one" not in site.redactor()("the-new-one-of-a-new-deploy")


def test_a_lab_without_nodes_tells_its_stages_logs(lab: Path) -> None:
    had = LabScene(lab, no_nodes, lambda: None).collect(0, time.time())  # type: ignore[arg-type, return-value]
    assert list(had.files) == ["stages/cloud.log"]
    assert had.problems == ("the lab has no nodes",)


def test_redaction_is_what_writes_are_given(tmp_path: Path) -> None:
    artifacts.write(tmp_path / "x", {"a/b": "the-secret"}, Redactor(["the-secret"]))
    assert (tmp_path / "x" / "a" / "b.txt").read_text() == "********"


def test_a_lent_clouds_passwords_are_masked_and_its_nodes_are_left_alone() -> None:
    lent = ExternalCloudScene(lambda: ("the-secret",))
    assert lent.redactor()("the-secret") == "********"
    assert lent.collect(0, 1).files == {}


def test_the_passwords_that_a_lent_cloud_is_reached_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = {"auth": {"auth_url": "http://x:5000", "username": "u", "password": "of-the-user"}}
    path = tmp_path / "clouds.yaml"
    path.write_text(yaml.safe_dump({"clouds": {"theirs": cloud}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    assert external.secrets("theirs") == ("of-the-user",)
    assert external.secrets("nobodys") == ()
