"""OpenDaylight: its answers parsed, routes written for it, its configuration and its image."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pytest_kollalab.features.bgpvpn.reflector import MACIP, MULTICAST, Route
from pytest_kollalab.features.bgpvpn.words import Bgpvpn
from pytest_kollalab.features.opendaylight import feature, rib, words
from pytest_kollalab.features.opendaylight.restconf import Restconf, RestconfError, messages
from pytest_kollalab.features.opendaylight.words import Neighbor, OpenDaylight, parse_neighbors
from pytest_kollalab.features.registry import resolve
from pytest_kollalab.system.errors import ConfigError, KollalabError, WaitError
from pytest_kollalab.system.ssh import Ssh

IMAGE = feature.HERE / "images" / "opendaylight"
SOURCE = IMAGE / "source"
PASSWORD = 'a"b\\c$d'
TARGET: dict[str, Any] = {
    "route-target-extended-community": {
        "global-administrator": 64512,
        "local-administrator": "AAAAZA==",
    },
    "transitive": True,
}
WIDE: dict[str, Any] = {
    "as-4-route-target-extended-community": {
        "as-4-specific-common": {"as-number": 65536, "local-administrator": 1}
    },
    "transitive": True,
}
ADDRESS: dict[str, Any] = {
    "route-target-ipv4": {"global-administrator": "192.0.2.1", "local-administrator": 5},
    "transitive": True,
}
VPN: dict[str, Any] = {
    "path-id": 0,
    "route-key": "YAAA/AAAAAAFClgABQ==",
    "route-distinguisher": "0:64512:5",
    "prefix": "10.88.0.5/32",
    "attributes": {
        "origin": {"value": "igp"},
        "multi-exit-disc": {"med": 0},
        "originator-id": {"originator": "172.17.0.99"},
        "ipv4-next-hop": {"global": "172.17.0.9"},
        "local-pref": {"pref": 150},
        "cluster-id": {"cluster": ["172.17.0.2"]},
        "extended-communities": [TARGET, WIDE, ADDRESS],
    },
    "label-stack": [{"label-value": 55}],
}
EVPN: list[dict[str, Any]] = [
    {
        "route-key": "e1",
        "path-id": 0,
        "mac-ip-adv-route": {
            "ethernet-tag-id": {"vlan-id": 0},
            "mac-address": "52:54:00:AA:BB:CC",
            "ip-address": "10.9.9.9",
            "mpls-label1": 265,
        },
        "attributes": {
            "ipv4-next-hop": {"global": "172.17.0.9"},
            "extended-communities": [TARGET],
            "local-pref": {"pref": 100},
        },
        "route-distinguisher": "10.65.3.13:0",
    },
    {
        "route-key": "e2",
        "path-id": 0,
        "inc-multi-ethernet-tag-res": {
            "orig-route-ip": "172.17.0.9",
            "ethernet-tag-id": {"vlan-id": 0},
        },
        "attributes": {"ipv4-next-hop": {"global": "172.17.0.9"}, "pmsi-tunnel": {"mpls-label": 1}},
        "route-distinguisher": "0:64512:9",
    },
]


def table(family: str, entry: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"bgp-rib:tables": [{"attributes": {"uptodate": True}, family: {entry: entries}}]}


ROUTE = Route(
    "64512:5",
    "10.88.0.5/32",
    "172.17.0.9",
    frozenset({"64512:100", "65536:1", "192.0.2.1:5"}),
    55,
    150,
)


def test_a_route_of_a_vpn_is_as_frr_tells_it() -> None:
    assert rib.parse_routes(table(rib.VPNV4, "vpn-route", [VPN])) == [ROUTE]
    assert rib.keys({rib.VPNV4: {"vpn-route": [VPN]}}) == {VPN["route-key"]: ROUTE}


def test_routes_of_a_segment_are_as_frr_tells_them() -> None:
    host, everyone = rib.parse_routes(table(rib.EVPN, "evpn-route", EVPN))
    assert (host.kind, host.mac, host.rd) == (MACIP, "52:54:00:aa:bb:cc", "10.65.3.13:0")
    assert host.prefix == "[2]:[0]:[48]:[52:54:00:aa:bb:cc]:[32]:[10.9.9.9]"
    assert (everyone.kind, everyone.next_hop) == (MULTICAST, "172.17.0.9")
    assert everyone.prefix == "[3]:[0]:[32]:[172.17.0.9]"


def test_a_table_without_routes_has_none() -> None:
    assert rib.parse_routes({"bgp-rib:tables": [{"attributes": {"uptodate": False}}]}) == []


def test_what_is_injected_is_what_is_parsed() -> None:
    body = rib.body(
        "key",
        ROUTE.prefix,
        sorted(ROUTE.targets),
        ROUTE.next_hop,
        55,
        rd=ROUTE.rd,
        local_pref=150,
    )
    assert rib.keys(body) == {"key": ROUTE}


@pytest.mark.parametrize(
    ("rd", "written"),
    [("64512:88", "0:64512:88"), ("65536:7", "65536:7"), ("10.0.0.3:200", "10.0.0.3:200")],
)
def test_distinguishers(rd: str, written: str) -> None:
    assert rib.distinguisher(rd) == written
    assert rib.parse_routes({"vpn-route": [{"route-distinguisher": written}]})[0].rd == rd


GOOD: dict[str, Any] = {
    "prefix": "10.1.0.0/24",
    "targets": ["64512:1"],
    "next_hop": "10.0.0.1",
    "label": 16,
    "rd": "64512:1",
    "local_pref": 100,
}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"prefix": "10.1.0.1/24"}, "'10.1.0.1/24' is no IPv4 prefix"),
        ({"prefix": "10.1.0.0/33"}, "is no IPv4 prefix"),
        ({"prefix": "2001:db8::/32"}, "is no IPv4 prefix"),
        ({"prefix": ""}, "is no IPv4 prefix"),
        ({"next_hop": "gateway-1"}, "next hop 'gateway-1' is no IPv4 address"),
        ({"next_hop": "10.0.0.1/32"}, "is no IPv4 address"),
        ({"label": -1}, "-1 is no MPLS label"),
        ({"label": 2**20}, "1048576 is no MPLS label"),
        ({"local_pref": 2**32}, "is no local preference"),
        ({"targets": []}, "has no route target"),
        ({"targets": ["64512"]}, "'64512' is no route target"),
        ({"targets": ["64512:4294967296"]}, "is no route target"),
        ({"targets": ["65536:65536"]}, "is no route target"),
        ({"targets": ["4294967296:1"]}, "is no route target"),
        ({"targets": ["10.0.0.300:1"]}, "is no route target"),
        ({"targets": ["64512:-1"]}, "is no route target"),
        ({"targets": ["64512:1", "x:1"]}, "'x:1' is no route target"),
        ({"rd": "64512"}, "'64512' is no route distinguisher"),
        ({"rd": "10.0.0.3:65536"}, "is no route distinguisher"),
    ],
)
def test_arguments_that_make_no_route(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        rib.body("key", **(GOOD | given))


NEIGHBORS: dict[str, Any] = {
    "bgp-openconfig-extensions:neighbors": {
        "neighbor": [
            {"neighbor-address": feature.APPLICATION, "state": {"session-state": "OPENCONFIRM"}},
            {
                "neighbor-address": feature.REFLECTOR,
                "timers": {"state": {"uptime": 532, "negotiated-hold-time": "60.0"}},
                "state": {"session-state": "ESTABLISHED"},
                "afi-safis": {
                    "afi-safi": [
                        {"afi-safi-name": "openconfig-bgp-types:IPV4-UNICAST", "state": {}},
                        {
                            "afi-safi-name": "openconfig-bgp-types:L3VPN-IPV4-UNICAST",
                            "state": {
                                "prefixes": {"received": 3, "sent": 1, "installed": 2},
                                "active": True,
                            },
                        },
                    ]
                },
            },
            {"neighbor-address": "192.0.2.9"},
        ]
    }
}


def test_sessions_without_the_table_for_injected_routes() -> None:
    found = parse_neighbors(NEIGHBORS)
    assert found[feature.REFLECTOR] == Neighbor(feature.REFLECTOR, "ESTABLISHED", 60, 3, 2, 1)
    assert found[feature.REFLECTOR]
    assert not found["192.0.2.9"]
    assert set(found) == {feature.REFLECTOR, "192.0.2.9"}
    assert parse_neighbors({}) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"errors": {"error": [{"error-tag": "x", "error-message": "Bad"}]}}', "Bad"),
        ('{"ietf-restconf:errors": {"error": [{"error-tag": "in-use"}]}}', "in-use"),
        ("<html>404</html> ", "<html>404</html>"),
        ("[]", "[]"),
    ],
)
def test_what_an_error_says(text: str, told: str) -> None:
    assert messages(text) == told


class FakeRestconf(Restconf):
    """Keeps injected routes, and sends them, unless it is `unsent`."""

    def __init__(self, *, unsent: bool = False, session: bool = True) -> None:
        super().__init__("http://192.0.2.7:8181", "admin", "secret")
        self.unsent = unsent
        self.session = session
        self.routes: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        self.asked.append(method)
        if method == "POST":
            (route,) = body["bgp-vpn-ipv4:vpn-route"]
            self.routes[route["route-key"]] = route
        elif method == "DELETE":
            key = path.rpartition("=")[2].removesuffix(",0")
            if key not in self.routes:
                error = RestconfError("OpenDaylight answers 409")
                error.absent = True
                raise error
            del self.routes[key]
        elif "adj-rib-out" in path:
            sent = [] if self.unsent else list(self.routes.values())
            return table(rib.VPNV4, "vpn-route", sent)
        elif "fields=peer" in path:
            peers = [
                {"peer-id": "bgp://192.0.2.1", "peer-role": "internal"},
                {"peer-id": "bgp://10.0.0.254", "peer-role": "ibgp"},
            ]
            return {"bgp-rib:rib": [{"peer": peers}]}
        elif "neighbors" in path:
            return NEIGHBORS if self.session else {}
        elif "application-rib" in path:
            return {rib.VPNV4: {"vpn-route": list(self.routes.values())}}
        return None


Made = Callable[..., OpenDaylight]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setattr(words, "SENT_WITHIN", 0.05)

    def make(restconf: Restconf, owner: str = "tenant-1") -> OpenDaylight:
        return OpenDaylight(restconf, Ssh(Path("/nowhere")), "controller-1", owner=owner)

    return make


def test_an_injected_route_is_withdrawn_with_its_scope(made: Made) -> None:
    restconf = FakeRestconf()
    with made(restconf) as opendaylight:
        one = opendaylight.inject("10.1.0.0/24", "64512:1", "10.0.0.1", 17)
        assert one.route == Route(
            one.route.rd, "10.1.0.0/24", "10.0.0.1", frozenset({"64512:1"}), 17, 100
        )
        with opendaylight.inject("10.1.1.1", ["64512:1"], "10.0.0.1", 17) as other:
            assert {each.prefix for each in opendaylight.injected()} == {
                "10.1.0.0/24",
                "10.1.1.1/32",
            }
            assert other.route.rd != one.route.rd
        assert opendaylight.injected() == [one.route]
    assert restconf.routes == {}


def test_a_route_is_withdrawn_by_its_prefix_and_once(made: Made) -> None:
    restconf = FakeRestconf()
    with made(restconf) as opendaylight, made(restconf, "tenant-2") as other:
        opendaylight.inject("10.1.0.0/24", "64512:1", "10.0.0.1", 17)
        other.inject("10.1.0.0/24", "64512:2", "10.0.0.1", 17)
        opendaylight.withdraw("10.1.0.0/24")
        assert [each.targets for each in opendaylight.injected()] == [{"64512:2"}]
        with pytest.raises(words.NotInjectedError, match=r"no route to 10\.1\.0\.0/24"):
            opendaylight.withdraw("10.1.0.0/24")


def test_a_route_that_is_not_sent_is_told_and_withdrawn(made: Made) -> None:
    restconf = FakeRestconf(unsent=True)
    refused = pytest.raises(WaitError, match="the injected routes to be sent")
    with made(restconf) as opendaylight, refused as told:
        opendaylight.inject("10.1.0.0/24", "64512:1", "10.0.0.1", 17)
    assert "not sent: Injected(10.1.0.0/24 by 10.0.0.1)" in told.value.details
    assert restconf.routes == {}


def test_without_a_session_nothing_is_awaited(made: Made) -> None:
    restconf = FakeRestconf(unsent=True, session=False)
    with made(restconf) as opendaylight:
        opendaylight.inject("10.1.0.0/24", "64512:1", "10.0.0.1", 17)
        assert "DELETE" not in restconf.asked


def test_routes_of_a_killed_run_are_withdrawn_and_those_of_others_stay(made: Made) -> None:
    restconf = FakeRestconf()
    dead = subprocess.run(
        [sys.executable, "-c", "from pytest_kollalab.system import process; print(process.mark())"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    for key in (f"killed.{dead}.1", "by-hand"):
        restconf.routes[key] = VPN | {"route-key": key}
    with made(restconf):
        assert set(restconf.routes) == {"by-hand"}


def test_nobody_answers_and_that_is_what_a_wait_tells(made: Made) -> None:
    opendaylight = made(Restconf("http://127.0.0.1:9", "admin", "secret"))
    with pytest.raises(KollalabError, match=r"does not answer at http://127\.0\.0\.1:9"):
        opendaylight.routes()
    with pytest.raises(WaitError) as told:
        opendaylight.wait_ready(0.1)
    assert "Connection refused" in told.value.details


class FakeSsh(Ssh):
    """Answers each command with the same text."""

    def __init__(self, said: str) -> None:
        super().__init__(Path("/nowhere"))
        self.said = said

    def run(self, node: str, command: Sequence[str], **_: Any) -> Any:
        return SimpleNamespace(stdout=self.said, returncode=0)


SOCKETS = """\
LISTEN 0 50 [::ffff:127.0.0.1]:44444 *:* users:(("java",pid=2883,fd=131))
LISTEN 0 50 [::ffff:10.64.1.11]:8181 *:* users:(("java",pid=2883,fd=107))
LISTEN 0 4096 *:9100 *:* users:(("java",pid=2883,fd=98))
LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=100,fd=3))
"""


def test_where_its_process_listens() -> None:
    opendaylight = OpenDaylight(FakeRestconf(), FakeSsh(SOCKETS), "controller-1", owner="t")
    assert opendaylight.listens_at() == {"127.0.0.1:44444", "10.64.1.11:8181", "*:9100"}


def test_the_end_of_a_session_is_awaited_too(made: Made) -> None:
    assert made(FakeRestconf()).wait_established(1) < 1
    assert made(FakeRestconf(session=False)).wait_established(1, down=True) < 1
    with pytest.raises(WaitError, match="the end of OpenDaylight's session") as told:
        made(FakeRestconf()).wait_established(0.1, down=True)
    assert "ESTABLISHED" in told.value.details


def test_the_words_for_hosts_of_a_segment_ask_an_oracle_by_name(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    opendaylight = made(FakeRestconf())
    routes = rib.parse_routes(table(rib.EVPN, "evpn-route", EVPN))
    monkeypatch.setattr(opendaylight, "evpn_routes", lambda: routes)
    tenant: Any = SimpleNamespace(ssh=Ssh(Path("/nowhere")), patience=1.0)
    bgpvpn = Bgpvpn(tenant, {"gateway-1": "10.0.0.13"})
    bgpvpn.oracles["opendaylight"] = opendaylight
    mac = routes[0].mac
    assert bgpvpn.announced_mac(mac, within=1, oracle="opendaylight") == routes[0]
    routes.clear()
    assert bgpvpn.withdrawn_mac(mac, within=1, oracle="opendaylight") < 1
    with pytest.raises(ConfigError, match="'bagpipe' tells no EVPN routes") as told:
        bgpvpn.announced_mac(mac, oracle="bagpipe")
    assert told.value.hint == "ask frr or opendaylight"


def test_several_routes_are_awaited_together(made: Made) -> None:
    restconf = FakeRestconf()
    with made(restconf) as opendaylight:
        with opendaylight.together():
            for number in range(3):
                opendaylight.inject(f"10.1.{number}.0/24", "64512:1", "10.0.0.1", 17)
            assert "GET" in restconf.asked
        assert len(restconf.routes) == 3


def rendered(name: str, **more: object) -> str:
    """A template of the playbook with the variables of the feature."""
    environment = Environment(
        loader=FileSystemLoader(feature.HERE / "playbooks"), undefined=StrictUndefined
    )
    environment.filters["to_json"] = json.dumps
    known = {**feature.FEATURE.globals, "bgpvpn_as": 64512, "bgpvpn_namespace": "reflector"}
    known |= {"container_config_directory": "/conf", "address": "10.0.0.2"}
    known |= {"base": "http://10.0.0.2:8181", feature.PASSWORD: PASSWORD, **more}
    return environment.get_template(f"templates/{name}.j2").render(known)


def test_the_speaker_calls_the_reflector_and_takes_injected_routes() -> None:
    (protocol,) = json.loads(rendered("speaker.json"))["openconfig-network-instance:protocol"]
    bgp = protocol["bgp-openconfig-extensions:bgp"]
    reflector, application = bgp["neighbors"]["neighbor"]
    assert reflector["neighbor-address"] == feature.REFLECTOR
    assert reflector["config"] == {"peer-type": "INTERNAL", "peer-as": 64512}
    assert application["config"] == {"peer-group": "application-peers"}
    assert bgp["global"]["config"] == {"router-id": feature.OWN, "as": 64512}


def test_both_ends_of_the_wire_are_in_one_network() -> None:
    command = json.loads(rendered("config.json"))["command"]
    assert shlex.split(command)[1:] == [
        "reflector",
        "opendaylight0",
        "169.254.179.1/30",
        "169.254.179.2/30",
        "8181",
    ]
    lines = rendered("frr.conf").splitlines()
    assert f" neighbor {feature.OWN} passive" in lines
    assert f" neighbor {feature.OWN} graceful-restart-disable" in lines
    assert f"  neighbor {feature.OWN} disable-addpath-rx" in lines


def test_only_the_management_address_is_listened_at() -> None:
    lines = rendered("org.ops4j.pax.web.cfg").splitlines()
    told = dict(line.split(" = ", 1) for line in lines)
    assert told["jetty.host"] == told["org.ops4j.pax.web.listening.addresses"] == "10.0.0.2"
    build = (SOURCE / "build").read_text()
    assert "sshHost = 127.0.0.1" in build
    assert "bind-address = 127.0.0.1" in build


def test_only_the_node_itself_reaches_it_before_it_has_the_password_of_the_lab(
    tmp_path: Path,
) -> None:
    configuration = tmp_path / "org.ops4j.pax.web.cfg"
    configuration.write_text(rendered("org.ops4j.pax.web.cfg"))
    script = (IMAGE / "kollalab_opendaylight.sh").read_text()
    (change,) = re.findall(r"sed -i -E '(.+)' \"\$listening\"", script)
    subprocess.run(["sed", "-i", "-E", change, configuration], check=True)
    assert "10.0.0.2" not in configuration.read_text()
    assert configuration.read_text().count("127.0.0.1") == 2


def curl(configuration: Path) -> list[str]:
    """What curl, given a configuration, would send to itself: its own report of the options."""
    argv = ["curl", "-q", "--config", str(configuration), "--libcurl", "-", "--url", "file:///"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def test_the_password_is_in_a_file_that_curl_reads(tmp_path: Path) -> None:
    for name in ("login", "first-login"):
        (tmp_path / name).write_text(rendered(name))
    first, user = rendered("login").splitlines()
    assert first == "# http://10.0.0.2:8181"
    assert json.loads(user.partition(" = ")[2]) == f"admin:{PASSWORD}"
    quoted = json.dumps(f"admin:{PASSWORD}")
    assert any(quoted in line for line in curl(tmp_path / "login"))
    told = "\n".join(curl(tmp_path / "first-login"))
    assert "admin:admin" in told
    # As long as that counts, there is no other address.
    assert "http://127.0.0.1:8181/auth/v1/users/admin@sdn" in told


def test_artifacts_ask_with_a_password_that_is_no_argument() -> None:
    for line in feature.FEATURE.artifacts.values():
        assert f"--config {feature.LOGIN}" in line
        assert "-u" not in line.split()


def test_a_lab_has_it_on_top_of_bgpvpn_and_on_the_controller_alone() -> None:
    found = {each.name: each for each in resolve(["opendaylight"], "2026.1")}
    assert list(found) == ["core", "bgpvpn", "opendaylight"]
    assert found["opendaylight"].images == ("opendaylight",)
    assert found["opendaylight"].compute_images == ()


def test_policies_lose_one_statement(tmp_path: Path) -> None:
    statement = "<statement>\n  <name>{}</name>\n  <actions/>\n</statement>\n"
    path = tmp_path / "policies.xml"
    path.write_text("<a>\n" + "".join(map(statement.format, ("one", "two", "three"))) + "</a>")
    argv = [sys.executable, str(SOURCE / "policies"), str(path)]
    done = subprocess.run([*argv, "two"], check=True, capture_output=True, text=True)
    assert re.findall("<name>(.*)</name>", done.stdout) == ["one", "three"]
    assert done.stdout.count("<statement>") == done.stdout.count("</statement>") == 2
    lost = subprocess.run([*argv, "four"], check=False, capture_output=True, text=True)
    assert lost.returncode == 1
    assert "has 0 statements named four" in lost.stderr


def test_everything_that_maven_gets_has_a_checksum() -> None:
    lines = (SOURCE / "checksums" / "checksums.sha256").read_text().splitlines()
    paths = [line.split("  ")[1] for line in lines]
    assert all(re.fullmatch(r"[0-9a-f]{64}  \S+", line) for line in lines)
    assert len(paths) == len(set(paths))
    for pinned in ("bgp-rib-impl-1.0.0.jar", "odl-restconf-nb-10.0.2-features.xml"):
        assert any(path.endswith(f"/{pinned}") for path in paths)
