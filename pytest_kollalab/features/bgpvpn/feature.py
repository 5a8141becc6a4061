"""The feature `bgpvpn`: networks joined by BGP, to each other and to a site outside the cloud."""

from __future__ import annotations

from pathlib import Path

from pytest_kollalab.features.base import Feature, where

HERE = Path(__file__).parent
GATEWAY = "gateway-1"
AS = 64512
DRIVER = "networking_bgpvpn.neutron.services.service_drivers.bagpipe.bagpipe_v2"


def _more(stock: str, name: str) -> str:
    """A list of Kolla-Ansible's role with the entries that are switched on, and one more."""
    enabled = f"{stock} | selectattr('enabled', 'equalto', true) | list"
    return f"{{{{ ({enabled}) + [{{'name': '{name}'}}] }}}}"


def _projects() -> str:
    names = "neutron_subprojects | selectattr('enabled') | map(attribute='name') | list"
    return f"{{{{ ({names}) + ['networking-bgpvpn'] }}}}"


FEATURE = Feature(
    name="bgpvpn",
    requires=("core",),
    backends=("ovs",),
    images_from=(HERE / "images",),
    control_images=("frr", "bagpipe-bgp"),
    compute_images=("bagpipe-bgp",),
    nodes={GATEWAY: ("openvswitch-db-server", "openvswitch-vswitchd", "bagpipe-bgp")},
    globals={
        # Kolla-Ansible has no variable to switch these on.
        "neutron_service_plugins": _more("service_plugins", "bgpvpn"),
        "neutron_agent_extensions": _more("agent_extensions", "bagpipe_bgpvpn"),
        "neutron_bootstrap_services": _projects(),
        "neutron_rolling_upgrade_services": _projects(),
        # Variables of the playbook's templates.
        "bgpvpn_as": AS,
        "bgpvpn_device": "reflector0",
        "bgpvpn_namespace": "reflector",
        "bgpvpn_reflector": "{{ kollalab_networks.tunnel.cidr | ansible.utils.nthhost(-2) }}",
        "bgpvpn_healthcheck": {
            name: f"{{{{ default_container_healthcheck_{name} }}}}"
            for name in ("interval", "retries", "start_period", "timeout")
        },
    },
    config={
        "neutron.conf": "[service_providers]\n"
        f"service_provider = BGPVPN:BaGPipe:{DRIVER}.BaGPipeBGPVPNDriver:default\n",
        "neutron/openvswitch_agent.ini": "[BAGPIPE]\n"
        "mpls_bridge = br-mpls\nbagpipe_bgp_port = 8082\n",
    },
    playbooks=(HERE / "playbooks" / "bgpvpn.yml",),
    extensions=("bgpvpn", "bgpvpn-routes-control"),
    containers={
        "control": ("bagpipe_bgp", "frr"),
        "compute": ("bagpipe_bgp",),
        "gateway": ("bagpipe_bgp", "openvswitch_db", "openvswitch_vswitchd"),
    },
    artifacts={
        "bgp": where(
            "frr",
            "docker exec frr vtysh -c 'show bgp summary' -c 'show bgp ipv4 vpn detail'"
            " -c 'show bgp l2vpn evpn route detail'",
        ),
        "bagpipe": where(
            "bagpipe_bgp",
            "for part in bgp vpns; do"
            " docker exec bagpipe_bgp bagpipe-looking-glass --recurse $part; done",
        ),
    },
)
