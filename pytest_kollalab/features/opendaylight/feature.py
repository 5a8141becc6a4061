"""The feature `opendaylight`: a BGP controller beside Neutron, a client of the reflector."""

from __future__ import annotations

from pathlib import Path

from pytest_kollalab.features.base import Feature, HealthCheck, where
from pytest_kollalab.releases import maven
from pytest_kollalab.settings.config import Config

HERE = Path(__file__).parent
PORT = 8181
USER, PASSWORD = "admin", "opendaylight_api_password"
# The names of the speaker and of its table for injected routes. The latter is an address by its
# type, and nobody has it.
RIB, APPLICATION = "lab", "192.0.2.1"
# The two ends of the wire between OpenDaylight and the reflector. Neither leaves the node.
OWN, REFLECTOR = "169.254.179.1", "169.254.179.2"
# The first artifact that the build asks for.
PARENT = "org/opendaylight/odlparent/single-feature-parent/14.1.6/single-feature-parent-14.1.6.pom"
INSTANCE = "openconfig-network-instance:network-instances/network-instance=global-bgp"
SPEAKER = (
    f"{INSTANCE}/openconfig-network-instance:protocols/protocol=openconfig-policy-types:BGP,{RIB}"
)
NEIGHBORS = f"{SPEAKER}/bgp-openconfig-extensions:bgp/neighbors"
# Curl's configuration in the container has the password; its first line, a comment, the address.
LOGIN = "/etc/opendaylight/login"


def _answer(path: str) -> str:
    """A shell command that prints what RESTCONF answers."""
    address = f"$(docker exec opendaylight sed -n '1s/^# //p' {LOGIN})"
    curl = f"docker exec opendaylight curl -q -sS --config {LOGIN}"
    return where("opendaylight", f'{curl} "{address}/rests/data/{path}?content=nonconfig"')


def unsupported_reason(_: Config) -> str | None:
    """Why the mirror of Maven Central that this host is told of does not help, or None."""
    return maven.unsupported_reason(PARENT)


FEATURE = Feature(
    name="opendaylight",
    requires=("bgpvpn",),
    images_from=(HERE / "images",),
    control_images=("opendaylight",),
    endpoints={"OpenDaylight": f"http://{{management}}:{PORT}/rests"},
    passwords=(PASSWORD,),
    unsupported_reason=unsupported_reason,
    globals={
        "opendaylight_port": PORT,
        "opendaylight_user": USER,
        "opendaylight_device": "opendaylight0",
        "opendaylight_own": OWN,
        "opendaylight_reflector": REFLECTOR,
        "opendaylight_prefix": 30,
        "opendaylight_application": APPLICATION,
        "opendaylight_instance": INSTANCE,
        "opendaylight_speaker": SPEAKER,
    },
    playbooks=(HERE / "playbooks" / "opendaylight.yml",),
    containers={"control": ("opendaylight",)},
    health=(
        HealthCheck(
            "OpenDaylight's session with the reflector is established",
            command="docker exec frr vtysh -c 'show bgp ipv4 vpn summary established json'"
            f" | grep -F '\"{OWN}\"'",
        ),
    ),
    artifacts={
        "opendaylight-rib.json": _answer(f"bgp-rib:bgp-rib/rib={RIB}"),
        "opendaylight-neighbors.json": _answer(NEIGHBORS),
    },
)
