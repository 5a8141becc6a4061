"""BGP: what FRR 10 prints as JSON, parsed."""

from pytest_kollalab.features.bgpvpn.oracle import parse_bagpipe
from pytest_kollalab.features.bgpvpn.reflector import (
    MACIP,
    MULTICAST,
    Route,
    parse_evpn,
    parse_neighbor,
    parse_routes,
    parse_sessions,
)

VPN = """
{"vrfId": 0, "routerId": "10.65.3.254", "localAS": 64512,
 "routes": {"routeDistinguishers": {"10.65.3.11:0": {}, "10.65.3.13:0": {"192.168.101.10/32": [
  {"aspath": {"string": "Local"}, "rxedFromRrClient": true, "origin": "IGP", "locPrf": 100,
   "valid": true, "extendedCommunity": {"string": "RT:64512:70000 RT:64512:80000 ET:2"},
   "remoteLabel": 17,
   "nexthops": [{"ip": "10.65.3.13", "afi": "ipv4", "metric": 0, "accessible": true}],
   "peer": {"peerId": "10.65.3.13", "type": "internal"}}]}}},
 "totalRoutes": 1, "totalPaths": 1}
"""
# From FRR 10.3, abridged: the AS in the second distinguisher has four bytes (64512 all the same).
ALIKE = """
{"vrfId": 0, "routes": {"routeDistinguishers": {
 "64512:79": {"10.77.3.0/24": [{"locPrf": 100, "extendedCommunity": {"string": "RT:64512:100"},
  "remoteLabel": 102, "nexthops": [{"ip": "10.0.0.2", "afi": "ipv4"}]}]},
 "64512:79": {"10.77.3.0/24": [{"locPrf": 100, "extendedCommunity": {"string": "RT:64512:100"},
  "remoteLabel": 103, "nexthops": [{"ip": "10.0.0.2", "afi": "ipv4"}]}]}}},
 "totalRoutes": 2, "totalPaths": 2}
"""
EVPN = """
{"10.65.3.11:10": {}, "10.65.3.13:0": {"rd": "10.65.3.13:0",
 "[2]:[0]:[48]:[52:54:00:01:02:03]:[32]:[10.1.1.5]": {
  "prefix": "[2]:[0]:[48]:[52:54:00:01:02:03]:[32]:[10.1.1.5]", "rd": "10.65.3.13:0",
  "routeType": 2, "mac": "52:54:00:01:02:03", "ip": "10.1.1.5",
  "paths": [[{"vni": "4242", "locPrf": 100, "extendedCommunity": {"string": "RT:64512:7 ET:8"},
   "nexthops": [{"ip": "10.65.3.13"}]}]]},
 "[3]:[0]:[32]:[10.65.3.13]": {
  "prefix": "[3]:[0]:[32]:[10.65.3.13]", "rd": "10.65.3.13:0", "routeType": 3, "ip": "10.65.3.13",
  "paths": [[{"locPrf": 100, "extendedCommunity": {"string": "RT:64512:7 ET:8"},
   "pmsi": {"tunnelType": "Ingress Replication", "label": 4242},
   "nexthops": [{"ip": "10.65.3.13"}]}]]}},
 "numPrefix": 2, "numPaths": 2}
"""
SUMMARY = """
{"routerId": "10.65.3.254", "as": 64512, "peers": {
 "10.65.3.11": {"remoteAs": 64512, "pfxRcd": 0, "state": "Active"},
 "10.65.3.12": {"remoteAs": 64512, "pfxRcd": 2, "state": "Established"}}, "failedPeers": 1}
"""


def test_a_route_of_a_vpn() -> None:
    (route,) = parse_routes(VPN)
    assert (route.prefix, route.rd) == ("192.168.101.10/32", "10.65.3.13:0")
    assert (route.next_hop, route.label, route.local_pref) == ("10.65.3.13", 17, 100)
    assert route.targets == {"64512:70000", "64512:80000"}


def test_routes_whose_distinguishers_frr_writes_alike() -> None:
    one, other = parse_routes(ALIKE)
    assert (one.label, other.label) == (102, 103)
    assert one.rd == other.rd == "64512:79"


def test_routes_of_a_segment() -> None:
    host, everyone = parse_evpn(EVPN)
    assert (host.kind, host.mac, host.label) == (MACIP, "52:54:00:01:02:03", 4242)
    assert (everyone.kind, everyone.next_hop, everyone.label) == (MULTICAST, "10.65.3.13", 4242)
    assert host.targets == everyone.targets == {"64512:7"}


def test_nothing_is_no_route() -> None:
    assert parse_routes("") == []
    assert parse_evpn('{"numPrefix": 0}') == []
    # What FRR 10.3 prints before anybody has announced anything.
    assert parse_evpn('{\n,"numPrefix":0,"numPaths":0}\n') == []


def test_sessions() -> None:
    found = parse_sessions(SUMMARY)
    assert not found["10.65.3.11"]
    assert found["10.65.3.12"]
    assert found["10.65.3.12"].routes == 2


CONFIG = """
router bgp 64512
 neighbor 10.65.3.1 remote-as 64512
 neighbor 10.65.3.11 remote-as 64512
 neighbor 10.65.3.11 passive
 !
 address-family ipv4 vpn
  neighbor 10.65.3.1 activate
  neighbor 10.65.3.11 activate
  neighbor 10.65.3.11 route-reflector-client
 exit-address-family
 !
 address-family l2vpn evpn
  neighbor 10.65.3.1 activate
 exit-address-family
 neighbor 10.65.3.11 timers 10 31
exit
"""


def test_what_makes_a_neighbor_can_be_entered_again() -> None:
    assert parse_neighbor(CONFIG, "10.65.3.11") == [
        "neighbor 10.65.3.11 remote-as 64512",
        "neighbor 10.65.3.11 passive",
        "neighbor 10.65.3.11 timers 10 31",
        "address-family ipv4 vpn",
        "neighbor 10.65.3.11 activate",
        "neighbor 10.65.3.11 route-reflector-client",
        "exit-address-family",
    ]
    assert parse_neighbor(CONFIG, "10.65.3.2") == []


def test_bagpipe_s_routes_are_read_as_those_of_frr() -> None:
    nlri = "10.99.0.0/24 next-hop 10.231.77.99 label [ 888 14209 ] rd 64512:88"
    told = {
        "afi-safi": "ipv4/mpls-vpn",
        "attributes": {"local-preference": "150"},
        "next_hop": "10.231.77.99",
        "route_targets": ["target:64512:100"],
    }
    document = {"match: ipv4/mpls-vpn": [{nlri: told}, {nlri: told}], "match: l2vpn/evpn": []}
    assert parse_bagpipe(document) == [
        Route("64512:88", "10.99.0.0/24", "10.231.77.99", frozenset({"64512:100"}), 888, 150)
    ]
