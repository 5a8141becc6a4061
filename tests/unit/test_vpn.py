"""VPNs: what the API is told of routes, and which prefix an address is."""

from types import SimpleNamespace

from pytest_kollalab.features.bgpvpn.vpn import Vpn, _routes
from pytest_kollalab.features.bgpvpn.words import Bgpvpn, _prefix


def vpn(**targets: list[str]) -> Vpn:
    empty: dict[str, list[str]] = {"route_targets": [], "import_targets": [], "export_targets": []}
    made = SimpleNamespace(id="7", name="vpn", **{**empty, **targets})
    bgpvpn = Bgpvpn.__new__(Bgpvpn)
    bgpvpn.tenant = None  # type: ignore[assignment]
    return Vpn(bgpvpn, made)


def test_routes_are_prefixes_or_vpns() -> None:
    assert _routes(["10.0.0.0/24"], None) == [{"type": "prefix", "prefix": "10.0.0.0/24"}]
    assert _routes([vpn()], 200) == [{"type": "bgpvpn", "bgpvpn_id": "7", "local_pref": 200}]
    assert _routes([], 100) == []


def test_targets_are_imported_exported_or_both() -> None:
    found = vpn(route_targets=["1:1"], import_targets=["1:2"], export_targets=["1:3"])
    assert found.imported == {"1:1", "1:2"}
    assert found.exported == {"1:1", "1:3"}


def test_an_address_is_a_prefix_of_one() -> None:
    assert _prefix("10.0.0.1") == "10.0.0.1/32"
    assert _prefix("10.0.0.0/24") == "10.0.0.0/24"
    assert _prefix(SimpleNamespace(ip="10.0.0.2")) == "10.0.0.2/32"
