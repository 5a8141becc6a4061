"""The feature `tacker`: virtual network functions with Tacker, whose servers Heat makes."""

from __future__ import annotations

from pathlib import Path

from pytest_kollalab.features.base import Feature, HealthCheck, where
from pytest_kollalab.settings.config import Config

HERE = Path(__file__).parent
RELEASE = "2026.1"
HEAT, TACKER = "{{ kollalab_images['heat'] }}", "{{ kollalab_images['tacker'] }}"
# Both of Tacker's services have these volumes.
KEYS = "kolla_tacker_vim_keys:/var/lib/tacker/vim_keys/"
PACKAGES = "kolla_tacker_vnfpackages:/var/lib/tacker/vnfpackages/"
# What requests contain is left out: there are passwords in it.
OPERATIONS = """SELECT startTime, operation, operationState, stateEnteredTime, vnfInstanceId, error
    FROM VnfLcmOpOccV2 ORDER BY startTime"""
STACKS = "SELECT created_at, name, action, status, deleted_at, status_reason FROM stack"
RESOURCES = """SELECT stack.name, resource.name, resource.action, resource.status,
    resource.nova_instance, resource.status_reason
    FROM resource JOIN stack ON resource.stack_id = stack.id WHERE stack.deleted_at IS NULL"""


def _told(container: str, service: str, *questions: str) -> str:
    """A shell command that prints what the database of a service has, from its container."""
    return f"""docker exec -i {container} python3 - << 'END'
import configparser, sqlalchemy
settings = configparser.RawConfigParser(strict=False)
settings.read("/etc/{service}/{service}.conf")
with sqlalchemy.create_engine(settings["database"]["connection"]).connect() as database:
    for question in {questions!r}:
        for row in database.execute(sqlalchemy.text(question)):
            print(*row, sep="\\t")
        print()
END"""


def unsupported_reason(config: Config) -> str | None:
    """Why the images cannot be built for the release of a lab, or None."""
    if config.release == RELEASE:
        return None
    return f"Heat and Tacker are pinned for {RELEASE} only, and the lab is of {config.release}"


FEATURE = Feature(
    name="tacker",
    requires=("compute",),
    images_from=(HERE / "images",),
    control_images=("heat", "tacker"),
    unsupported_reason=unsupported_reason,
    globals={
        "enable_heat": True,
        "enable_tacker": True,
        "heat_api_image_full": HEAT,
        "heat_api_cfn_image_full": HEAT,
        "heat_engine_image_full": HEAT,
        "tacker_server_image_full": TACKER,
        "tacker_conductor_image_full": TACKER,
        # Kolla-Ansible gives the packages to the conductor only, but the server reads them too:
        # without them version 2 of its API takes every package for one that is not there.
        "tacker_server_extra_volumes": [PACKAGES, KEYS],
        "tacker_conductor_extra_volumes": [KEYS],
    },
    config={
        # By default, links lead to 127.0.0.1, and keys go to a folder where Tacker may not write.
        "tacker.conf": "[v2_vnfm]\nendpoint = {{ tacker_internal_endpoint }}\n"
        "[vim_keys]\nopenstack = /var/lib/tacker/vim_keys/\n",
    },
    services=("nfv-orchestration", "orchestration"),
    # The last one carries out the operations of version 2 of Tacker's API.
    queues=("engine", "engine_worker", "TACKER_CONDUCTOR", "TACKER_CONDUCTOR_V2"),
    addresses=("tacker.VnfInstanceV2.vimConnectionInfo",),
    containers={
        "control": ("heat_api", "heat_api_cfn", "heat_engine", "tacker_conductor", "tacker_server"),
    },
    health=(
        HealthCheck("Heat answers", url="http://{management}:8004/healthcheck"),
        HealthCheck(
            "the services of Tacker share the packages",
            command="for each in tacker_server tacker_conductor; do"
            " docker exec $each test -w /var/lib/tacker/vnfpackages || exit; done",
        ),
    ),
    artifacts={
        "tacker.txt": where("tacker_conductor", _told("tacker_conductor", "tacker", OPERATIONS)),
        "heat.txt": where("heat_engine", _told("heat_engine", "heat", STACKS, RESOURCES)),
    },
)
