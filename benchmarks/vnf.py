"""A VNF of two servers by Tacker, beside the same two servers by Nova alone, in turns on one lab.

python -m benchmarks.vnf                    three turns on the lab `lab`, which must be up
python -m benchmarks.vnf --name other --turns 5

Both ways end when both servers are ACTIVE. By Nova alone the two ports are made first and both
servers are requested before either is waited for, which is what Heat does for Tacker.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import TYPE_CHECKING

from pytest_kollalab.features.compute.words import Compute
from pytest_kollalab.features.tacker.words import Tacker, Vdu, Vnf
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.plugin.fixtures import make_tenant
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import KollalabError
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant

SERVERS = ("one", "two")
WITHIN = 180
INTERVAL = 0.5
LIMIT = 1.5


def by_nova(tenant: Tenant, network: Network, compute: Compute) -> float:
    """Seconds from the first request until two servers are ACTIVE."""
    cloud = tenant.cloud
    started = time.monotonic()
    with tenant.part():
        ports = tenant.make_ports(
            [
                {
                    "network_id": network.id,
                    "project_id": tenant.project.id,
                    "name": tenant.full_name(name),
                }
                for name in SERVERS
            ]
        )
        made = []
        for port, name in zip(ports, SERVERS, strict=True):
            server = cloud.compute.create_server(
                name=tenant.full_name(name),
                image_id=compute.image_id,
                flavor_id=compute.flavor_id,
                networks=[{"port": port.id}],
                key_name=tenant.keypair,
            )
            tenant.undo.callback(cloud.delete_server, server.id, wait=True, timeout=WITHIN)
            made.append(server.id)

        def look() -> bool | NotYet:
            states = [cloud.compute.get_server(each).status for each in made]
            return set(states) == {"ACTIVE"} or NotYet(", ".join(states))

        wait.until("both servers to be ACTIVE", look, timeout=WITHIN, interval=INTERVAL)
        return time.monotonic() - started


def by_tacker(tacker: Tacker, vnf: Vnf, network: Network) -> float:
    """Seconds from the request to instantiate until Tacker says that it is done."""
    started = time.monotonic()
    tacker.instantiate(vnf, {f"{name}_cp": network for name in SERVERS})
    seconds = time.monotonic() - started
    tacker.terminate(vnf)
    return seconds


def measure(lab: Lab, turns: int) -> tuple[list[float], list[float]]:
    """Seconds of each turn: by Nova alone, by Tacker."""
    cloud = lab.connect()
    compute = Compute(cloud, lab.paths, lab.options)
    nova, tacked = [], []
    with make_tenant(cloud, lab, "benchmark") as tenant:
        network = tenant.network()
        tacker = Tacker(
            tenant, lab.paths.cache, image=compute.image_name, flavor=compute.flavor_name
        )
        vnf = tacker.create(tacker.package(*(Vdu(name, (f"{name}_cp",)) for name in SERVERS)))
        for turn in range(turns):
            nova.append(by_nova(tenant, network, compute))
            tacked.append(by_tacker(tacker, vnf, network))
            print(f"turn {turn + 1}: Nova {nova[-1]:.1f} s, Tacker {tacked[-1]:.1f} s", flush=True)
    cloud.close()
    return nova, tacked


def main() -> None:
    """Measure, and print both medians and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default=Options.name, help="name of the lab")
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    options = Options(name=given.name)
    # With other features than it has, the lab would be built anew.
    features = Lab(Config(), options).cloud_features()
    if "tacker" not in features:
        sys.exit(f"there is no lab {given.name} with tacker: kollalab up --feature tacker makes it")
    lab = Lab(Config(), options, features=features)
    try:
        nova, tacked = map(statistics.median, measure(lab, given.turns))
    except KollalabError as error:
        sys.exit(str(error))
    finally:
        lab.lease.release()
    print(f"medians: Nova {nova:.1f} s, Tacker {tacked:.1f} s")
    print(f"{tacked / nova:.2f} times (at most {LIMIT})")


if __name__ == "__main__":
    main()
