"""Known defects of upstream: what is seen, where it comes from, and which tests show it.

A test of a defect asserts what a user expects and has the marker `defect` with an id of this
registry. On a release that has the defect the test is a strict expected failure, so a release that
mends it is noticed; on any other release it is an ordinary test (`conftest.py`).

`python -m scenarios.defects` writes `docs/upstream-defects.md` from this module and the tests.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

SCENARIOS = Path(__file__).parent
PAGE = SCENARIOS.parent / "docs" / "upstream-defects.md"
MARKER = "defect"
HEADING = """\
# Known defects of upstream

Each row is a strict expected failure in `scenarios/`: the test asserts what a user expects, and on
the releases named it has to fail. When a release mends the defect, the test passes, the run fails,
and the entry is changed. On 2026.1 each was looked at. On 2026.2 the tests in `sfc/` and `bgpvpn/`
were seen to fail as well; the modules named are the same text in both.

The entries are in [scenarios/defects.py](../scenarios/defects.py), and a test is marked with
`@pytest.mark.defect("id")`. `pytest scenarios -m defect` runs these tests alone; with `--runxfail`
each shows what it sees.

This page is written by `python -m scenarios.defects`.
"""


@dataclass(frozen=True)
class Defect:
    """A defect of an upstream project.

    Args:
        id: The name that tests use: the feature, and what is wrong.
        project: The project that has the defect, by its name on PyPI or on Maven Central.
        versions: The OpenStack releases that have it, each with the project's version there.
        behaviour: What is seen, and what would be right where that is not obvious.
        module: The path of upstream's module.
        function: The function or class in that module.
        since: The day of the first look, as `YYYY-MM-DD`.
    """

    id: str
    project: str
    versions: Mapping[str, str]
    behaviour: str
    module: str
    function: str
    since: str

    def holds_for(self, release: str) -> bool:
        """Whether an OpenStack release has the defect."""
        return release in self.versions

    def reason(self, release: str) -> str:
        """The entry as the reason of an expected failure on a release that has the defect."""
        where = f"{self.project} {self.versions[release]}, {self.module}, {self.function}"
        return f"{self.id}: {self.behaviour} ({where})"


@dataclass(frozen=True)
class Marked:
    """A test that has the marker: its file, its name and the id."""

    path: Path
    test: str
    id: str


def _sfc(id: str, module: str, function: str, behaviour: str, since: str = "2026-11-25") -> Defect:
    versions = MappingProxyType({"2026.1": "22.0.0", "2026.2": "23.0.0"})
    module = f"networking_sfc/{module}"
    return Defect(f"sfc-{id}", "networking-sfc", versions, behaviour, module, function, since)


def _bgpvpn(
    id: str,
    project: str,
    versions: Mapping[str, str],
    module: str,
    function: str,
    behaviour: str,
    since: str = "2026-11-25",
) -> Defect:
    versions = MappingProxyType(versions)
    return Defect(f"bgpvpn-{id}", project, versions, behaviour, module, function, since)


def _tacker(
    id: str, project: str, version: str, module: str, function: str, behaviour: str
) -> Defect:
    versions = MappingProxyType({"2026.1": version})
    return Defect(f"tacker-{id}", project, versions, behaviour, module, function, "2026-11-30")


def _opendaylight(
    id: str,
    project: str,
    module: str,
    function: str,
    behaviour: str,
    since: str = "2026-11-30",
) -> Defect:
    versions = MappingProxyType({"2026.1": "1.0.0", "2026.2": "1.0.0"})
    module = f"org/opendaylight/protocol/bgp/{module}"
    return Defect(f"opendaylight-{id}", project, versions, behaviour, module, function, since)


BAGPIPE_AGENT = ("networking-bagpipe", {"2026.1": "24.0.0", "2026.2": "25.0.0"})
# The BGP daemon is of another version than the extension of Neutron's agent, and is in an image of
# our own with exabgp, the same for all releases.
BAGPIPE_BGP = ("networking-bagpipe", {"2026.1": "23.0.0", "2026.2": "23.0.0"})
EXABGP = ("exabgp", {"2026.1": "4.2.25", "2026.2": "4.2.25"})
NETWORKING_BGPVPN = ("networking-bgpvpn", {"2026.1": "24.0.0", "2026.2": "25.0.0"})

SFC_DRIVER = "services/sfc/drivers/ovs/driver.py"
SFC_AGENT = "services/sfc/agent/extensions/openvswitch/sfc_driver.py"
BGPVPN_AGENT = "networking_bagpipe/agent/bgpvpn/agent_extension.py"
BGPVPN_DRIVER = "networking_bgpvpn/neutron/services/service_drivers/bagpipe/bagpipe_v2.py"
BGP = "networking_bagpipe/bagpipe_bgp"

ENTRIES = (
    _sfc(
        "symmetric-classifiers-on-two-nodes",
        SFC_DRIVER,
        "_build_portchain_flowrule_body",
        "A symmetric chain with classifiers for both directions, between two nodes, has no flow "
        "for one of the directions. For the answers the driver takes the destination port of "
        "whichever classifier has the port as its source, and keeps the host: the rule goes to "
        "the node where the port is not.",
    ),
    _sfc(
        "two-sources-on-one-node-leave-flows",
        SFC_DRIVER,
        "_update_portchain_group_reference_count",
        "A chain with two source ports on one node leaves its group and the flows to its "
        "functions when it is deleted. The driver counts each source port of the chain as a use "
        "of the group, so the agent (delete_flow_rule) keeps it.",
    ),
    _sfc(
        "two-chains-of-one-source-leave-flows",
        SFC_DRIVER,
        "_remove_flowclassifier_port_assoc",
        "Of two chains from one source port, the one that is deleted last leaves its classifying "
        "flow, its group and the way to its function. The record of the port, which its deletion "
        "needs, was deleted with the first chain.",
    ),
    _sfc(
        "shared-function-has-one-label",
        SFC_AGENT,
        "_configure_across_subnet_flow",
        "When two chains share a function and the newer one is deleted, the older one no longer "
        "delivers to it. The flow that puts the label on matches the function's address alone and "
        "has the label of the newer chain; delete_flow_rule leaves it while the group is shared.",
    ),
    _sfc(
        "graph-messages-name-no-host",
        SFC_DRIVER,
        "_service_graph_linking_logic",
        "A service graph on one of two nodes does not link its chains. The messages to the agents "
        "name no host, so they go to a queue that the agents of all nodes read in turn; a graph "
        "takes two of them at least, and each node gets every other one.",
        since="2026-11-30",
    ),
    _sfc(
        "nsh-is-not-taken-off",
        SFC_AGENT,
        "_build_proxy_sfc_nsh",
        "A chain with NSH does not deliver to a function that does not speak NSH. The agent sets "
        "the destination address after decap() has removed Ethernet; ovs-ofctl refuses that flow "
        "('destination field eth_dst lacks correct prerequisites').",
    ),
    _sfc(
        "tap-on-another-node",
        SFC_AGENT,
        "_configure_tunnel_bridge_flows",
        "A tap on another node gets no copies: they end in br-tun. The flow of table 25 has "
        "strip_vlan and matches no VLAN, which ovs-ofctl refuses for OpenFlow 1.3.",
    ),
    _sfc(
        "port-pair-across-nodes",
        "db/sfc_db.py",
        "_validate_port_pair_ingress_egress",
        "A port pair whose ports are bound to two nodes is accepted, although no function can "
        "have both. Only the device_id of the ports is compared, never their hosts.",
    ),
    _sfc(
        "ipv6-classifier-makes-no-flow",
        SFC_AGENT,
        "_get_flow_infos_from_flow_classifier",
        "A classifier for IPv6 is accepted (db/flowclassifier_db.py, create_flow_classifier) and "
        "no flow is made for it. The agent's log alone says that only IPv4 is supported.",
    ),
    _sfc(
        "chain-across-subnets-is-a-server-error",
        SFC_DRIVER,
        "_validate_chain",
        "A chain through functions in several subnets is answered with an internal server error. "
        "The driver raises SfcDriverError; that such chains are not supported is in the server's "
        "log alone.",
    ),
    _sfc(
        "number-that-does-not-fit-a-label",
        SFC_AGENT,
        "_build_push_mpls",
        "A chain_id of 4096 or more (the API accepts up to 65535) makes a chain that loses the "
        "packets it leads. Its label, chain_id << 8 plus the step, has more than 20 bits: "
        "ovs-ofctl refuses to put it on ('not a valid MPLS label'), and takes the lower 20 bits "
        "where the flow of delivery matches it: the label of the chain 4096 below.",
        since="2026-11-30",
    ),
    _sfc(
        "weights-are-ignored",
        SFC_DRIVER,
        "_get_portgroup_members",
        "The weight of a port pair changes nothing: the flows of a group are shared as if all "
        "weights were 1, which is what the driver gives to every member.",
        since="2026-11-30",
    ),
    _sfc(
        "fields-of-load-balancing-are-ignored",
        SFC_AGENT,
        "_add_group_table",
        "The lb_fields of a group change nothing: with ip_src and ip_dst alone, flows between two "
        "hosts are still shared by their ports. Neither driver nor agent reads them; the select "
        "group has no selection method, so Open vSwitch takes its own hash.",
        since="2026-11-30",
    ),
    _sfc(
        "lowest-port-alone-has-no-end",
        SFC_AGENT,
        "_parse_flow_classifier",
        "A classifier with the lowest port of a range and no highest one leads that port and all "
        "above, up to 65535; it should be that port, or be refused.",
        since="2026-11-30",
    ),
    _sfc(
        "port-zero-is-every-port",
        SFC_AGENT,
        "_parse_flow_classifier",
        "A classifier with the ports 0 to 0 leads every port: the agent takes 0 for a bound that "
        "is not given.",
        since="2026-11-30",
    ),
    _sfc(
        "answers-need-both-prefixes",
        SFC_AGENT,
        "_get_flow_infos_from_flow_classifier",
        "A symmetric chain with the prefix of the source alone has no flow for the answers when "
        "the destination's port has two addresses. For answers the agent looks at the one prefix "
        "and uses the other: it asks for nw_src=None, which ovs-ofctl refuses. The address of a "
        "port that has only one is filled in by the driver.",
        since="2026-11-30",
    ),
    _bgpvpn(
        "network-in-both-types-leaves-an-instance",
        *BAGPIPE_BGP,
        f"{BGP}/vpn/manager.py",
        "_detach_evpn_2_ipvpn",
        "A network that was in an L2 and an L3 VPN at once leaves a VPN instance in the daemon: "
        "a KeyError when it leaves.",
    ),
    _bgpvpn(
        "evpn-has-no-dataplane",
        *BAGPIPE_BGP,
        f"{BGP}/vpn/evpn/ovs.py",
        "OVSDataplaneDriver",
        "Hosts of one L2 VPN do not reach each other. The driver gives itself to Neutron's bridge "
        "as os_ken_app and has no send_request, so each flow fails and stays half made; the lab "
        "configures the driver that announces only.",
    ),
    _bgpvpn(
        "ttl-is-not-lowered",
        *BAGPIPE_BGP,
        f"{BGP}/vpn/ipvpn/mpls_ovs_dataplane.py",
        "setup_dataplane_for_remote_endpoint",
        "A packet that crosses a VPN keeps its TTL. dec_ttl is in a group's bucket, whose actions "
        "are a set, and the label is pushed first.",
    ),
    _bgpvpn(
        "refused-for-its-as-never-tries-again",
        *EXABGP,
        "exabgp/bgp/message/notification.py",
        "Notification.__str__",
        "A daemon that a peer refused for its AS never connects again. exabgp takes the AS in the "
        "refusal for UTF-8, and networking-bagpipe (bagpipe_bgp/engine/bgp_peer_worker.py, "
        "_connect) fails while it logs that.",
    ),
    _bgpvpn(
        "router-on-the-node-of-its-port",
        *BAGPIPE_AGENT,
        BGPVPN_AGENT,
        "_gateway_traffic_redirect",
        "A port on the node of its network's router is not led into the VPN. Without the "
        "openvswitch firewall, traffic to a router on the same node never leaves br-int.",
    ),
    _bgpvpn(
        "deleted-vpn-keeps-its-ports",
        *NETWORKING_BGPVPN,
        BGPVPN_DRIVER,
        "_push_bgpvpn_associations",
        "A port stays announced after its VPN is deleted: the agents are not told of the ports of "
        "a VPN that is deleted.",
    ),
    _bgpvpn(
        "new-targets-do-not-reach-ports",
        *NETWORKING_BGPVPN,
        BGPVPN_DRIVER,
        "_push_bgpvpn_associations",
        "A port keeps the route targets that its VPN had before: the agents are not told of the "
        "ports of a VPN that changes.",
    ),
    _bgpvpn(
        "targets-of-two-kinds-are-malformed",
        *BAGPIPE_BGP,
        f"{BGP}/common/utils.py",
        "convert_route_targets",
        "A VPN with a route target whose AS number takes four bytes (65536:1), or that has an "
        "address (192.0.2.1:5), announces nothing. The API accepts both, as RFC 4364 does; the "
        "daemon calls them malformed, because it packs every target with an AS of two bytes.",
        since="2026-11-30",
    ),
    _bgpvpn(
        "port-that-comes-back-with-another-vlan",
        *BAGPIPE_BGP,
        f"{BGP}/vpn/ipvpn/mpls_ovs_dataplane.py",
        "_check_vlan_use",
        "When the only port of a network on a node is unplugged and plugged again, as when a "
        "server is rebooted or replaced by one with its port, it is not announced again. The agent "
        "gives the network another VLAN on that node, and the daemon wants the one that the "
        "network had when it joined ('different VLAN for different interfaces').",
        since="2026-11-30",
    ),
    _bgpvpn(
        "preference-zero-is-the-default",
        *BAGPIPE_BGP,
        f"{BGP}/vpn/vpn_instance.py",
        "synthesize_vif_bgp_route",
        "A VPN with local_pref 0 is announced with 100: the daemon takes 0 for a preference that "
        "is not given.",
        since="2026-11-30",
    ),
    _bgpvpn(
        "one-preference-for-all-vpns-of-a-network",
        *BAGPIPE_AGENT,
        BGPVPN_AGENT,
        "_build_attachments",
        "A network in two VPNs with different local_pref has one route, with the route targets of "
        "both and the higher preference. The agent attaches a port once for all VPNs.",
        since="2026-11-30",
    ),
    _opendaylight(
        "withdrawals-to-who-takes-additional-paths",
        "bgp-path-selection-mode",
        "mode/impl/base/BaseRouteEntry.java",
        "Stale.getAddPathRouteKeyIdentifiers",
        "A route that is withdrawn stays with a peer that offers to take additional paths, as FRR "
        "does unless told otherwise. OpenDaylight takes it for a peer that gets them and looks for "
        "the path to withdraw in a list that is always empty. The lab tells FRR not to offer it.",
    ),
    _opendaylight(
        "routes-for-who-restarts-gracefully",
        "bgp-rib-impl",
        "rib/impl/BGPPeer.java",
        "releaseConnectionGracefully",
        "When the session with a peer ends that told a restart time, as FRR does unless told "
        "otherwise, OpenDaylight keeps the table of what it has sent to it, and sends just that "
        "once the session is back: not what was injected meanwhile, and still what was withdrawn. "
        "The lab's FRR tells none.",
    ),
    _tacker(
        "role-keeps-packages-from-the-server",
        "kolla-ansible",
        "22.2.0",
        "ansible/roles/tacker/defaults/main.yml",
        "tacker_server_default_volumes",
        "Of the stock role's two containers only the conductor has the volume with the packages, "
        "and Tacker's server reads them: it answers 422 to each request for a VNF by version 2 of "
        "the API ('is not found or not operational'). The lab mends it with the variable "
        "tacker_server_extra_volumes; the test reads the role.",
    ),
    _tacker(
        "servers-with-and-without-a-number",
        "tacker",
        "15.0.0",
        "tacker/sol_refactored/infra_drivers/openstack/openstack.py",
        "_make_instantiated_vnf_info",
        "A VNF of a group of servers and of a single one in a template of its own, whose resource "
        "has no number at its end, fails to be instantiated once all servers are there: 'not "
        "supported between instances of NoneType and int', where servers are sorted by that "
        "number.",
    ),
    _tacker(
        "second-operation-is-accepted",
        "tacker",
        "15.0.0",
        "tacker/sol_refactored/controller/vnflcm_v2.py",
        "heal",
        "A request to heal or scale a VNF during another operation is accepted, and never ends: of "
        "the requests, these two do not take the lock of the VNF, which the conductor then waits "
        "for in vain, so that the operation stays in STARTING until the conductor is restarted.",
    ),
)

DEFECTS: Mapping[str, Defect] = MappingProxyType({each.id: each for each in ENTRIES})


def marked_tests() -> list[Marked]:
    """The tests with the marker, in the order of their files and lines."""
    found: list[Marked] = []
    for path in sorted(SCENARIOS.rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                found += (Marked(path, node.name, each) for each in _ids(node.decorator_list))
    return found


def _ids(decorators: Sequence[ast.expr]) -> Iterator[str]:
    for each in decorators:
        if isinstance(each, ast.Call) and ast.unparse(each.func) == f"pytest.mark.{MARKER}":
            yield str(ast.literal_eval(each.args[0]))


def page() -> str:
    """The page of all defects, by project."""
    tests: dict[str, list[str]] = {}
    for each in marked_tests():
        name = each.path.relative_to(SCENARIOS)
        tests.setdefault(each.id, []).append(f"[{each.test}](../scenarios/{name})")
    parts = [HEADING]
    for project in dict.fromkeys(each.project for each in DEFECTS.values()):
        rows = [
            f"| `{each.id}` | {_releases(each)} | {each.behaviour} "
            f"| `{each.module}`, `{each.function}` "
            f"| {', '.join(tests.get(each.id, ['none']))} | {each.since} |"
            for each in DEFECTS.values()
            if each.project == project
        ]
        head = "| id | release (version) | behaviour seen | function | test | first look |"
        parts.append("\n".join([f"## {project}", "", head, "|---|---|---|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def _releases(defect: Defect) -> str:
    return ", ".join(f"{name} ({version})" for name, version in defect.versions.items())


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=f"Write {PAGE.name} from the registry and tests.")
    parser.parse_args()
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
