"""Operations on VNFs: the bodies of their requests, and the occurrences that tell how they end."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_kollalab.features.tacker.csar import FLAVOUR, level

COMPLETED, FAILED_TEMP, FAILED, ROLLED_BACK = "COMPLETED", "FAILED_TEMP", "FAILED", "ROLLED_BACK"
# An operation in FAILED_TEMP goes on only if somebody asks for it.
ENDED = (COMPLETED, FAILED_TEMP, FAILED, ROLLED_BACK)
VIM_TYPE = "ETSINFV.OPENSTACK_KEYSTONE.V_3"


@dataclass(frozen=True)
class Occurrence:
    """How an operation on a VNF went.

    Attributes:
        id: The id of the occurrence.
        vnf: The id of the VNF instance.
        operation: `INSTANTIATE`, `SCALE`, `HEAL` or `TERMINATE`.
        state: The last state: `COMPLETED`; `FAILED_TEMP`, which can be rolled back or given up;
            `FAILED`, `ROLLED_BACK`, or one of an operation that is still under way.
        since: When it entered that state, as the API says it.
        error: Why it failed; empty if it did not.
        seconds: The seconds from the request until it was seen to have ended.
    """

    id: str
    vnf: str
    operation: str
    state: str
    since: str = ""
    error: str = ""
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return self.state == COMPLETED

    def __str__(self) -> str:
        told = f"{self.operation} of {self.vnf}: {self.state}"
        return f"{told}: {self.error}" if self.error else told

    @property
    def has_ended(self) -> bool:
        """Whether it does not go on by itself."""
        return self.state in ENDED


@dataclass(frozen=True)
class Part:
    """A server of a VNF as Tacker tells it.

    Attributes:
        id: The id by which it can be healed (`vnfcInfo`).
        vdu: The name of its VDU.
        server: The id of the server in Nova.
        ports: The id of the Neutron port of each of its connection points.
    """

    id: str
    vdu: str
    server: str
    ports: Mapping[str, str]


def occurrence(told: Mapping[str, Any], seconds: float = 0.0) -> Occurrence:
    """Parse an occurrence of `/vnflcm/v2/vnf_lcm_op_occs`."""
    error = told.get("error") or {}
    reason = error.get("detail") or error.get("title") or ""
    return Occurrence(
        id=told["id"],
        vnf=told["vnfInstanceId"],
        operation=told["operation"],
        state=told["operationState"],
        since=told.get("stateEnteredTime", ""),
        error=str(reason),
        seconds=seconds,
    )


def parts(instance: Mapping[str, Any]) -> list[Part]:
    """The servers of a VNF in a document of `/vnflcm/v2/vnf_instances`, the oldest first.

    There is none before it is instantiated.
    """
    info = instance.get("instantiatedVnfInfo", {})
    ports = {
        port["cpInstanceId"]: port["resourceHandle"]["resourceId"]
        for link in info.get("extVirtualLinkInfo", ())
        for port in link.get("extLinkPorts", ())
        if "cpInstanceId" in port
    }
    ids = {each["vnfcResourceInfoId"]: each["id"] for each in info.get("vnfcInfo", ())}
    made = sorted(
        info.get("vnfcResourceInfo", ()),
        key=lambda each: each.get("metadata", {}).get("creation_time", ""),
    )
    return [
        Part(
            id=ids[each["id"]],
            vdu=each["vduId"],
            server=each["computeResource"]["resourceId"],
            ports={
                point["cpdId"]: ports[point["vnfExtCpId"]]
                for point in each.get("vnfcCpInfo", ())
                if point.get("vnfExtCpId") in ports
            },
        )
        for each in made
    ]


def vim(login: Mapping[str, str], region: str) -> dict[str, Any]:
    """The `vimConnectionInfo` of requests: how Tacker logs in for the project.

    Args:
        login: `auth_url`, `username`, `password` and `project_name`, and the names of the domains
            as `user_domain_name` and `project_domain_name`.
        region: The region of the cloud.
    """
    url = login["auth_url"].rstrip("/")
    return {
        "vim": {
            "vimId": str(uuid.uuid4()),
            "vimType": VIM_TYPE,
            "interfaceInfo": {"endpoint": url if url.endswith("/v3") else f"{url}/v3"},
            "accessInfo": {
                "username": login["username"],
                "password": login["password"],
                "project": login["project_name"],
                "userDomain": login["user_domain_name"],
                "projectDomain": login["project_domain_name"],
                "region": region,
            },
        }
    }


def instantiation(
    networks: Mapping[str, str], vim_info: Mapping[str, Any], servers: int = 1
) -> dict[str, Any]:
    """The body of a request to instantiate a VNF.

    Args:
        networks: The id of the network of each connection point.
        vim_info: See `vim`.
        servers: The number of servers of each VDU that can have so many.
    """
    return {
        "flavourId": FLAVOUR,
        "instantiationLevelId": level(servers),
        "vimConnectionInfo": dict(vim_info),
        "extVirtualLinks": [
            {
                "id": str(uuid.uuid4()),
                "resourceId": network,
                "extCps": [_point(name) for name, other in networks.items() if other == network],
            }
            for network in dict.fromkeys(networks.values())
        ],
    }


def scaling(aspect: str, steps: int) -> dict[str, Any]:
    """The body of a request to scale a VNF out by that many steps, or in if `steps` is negative."""
    return {
        "type": "SCALE_OUT" if steps > 0 else "SCALE_IN",
        "aspectId": aspect,
        "numberOfSteps": abs(steps),
    }


def healing(ids: Sequence[str]) -> dict[str, Any]:
    """The body of a request to replace servers of a VNF, by the ids of their `Part`."""
    # With `all`, their volumes would be replaced as well.
    return {"vnfcInstanceId": list(ids), "additionalParams": {"all": False}}


def termination(*, graceful: bool = False) -> dict[str, Any]:
    """The body of a request to terminate a VNF; a graceful one first waits for 10 s."""
    return {"terminationType": "GRACEFUL" if graceful else "FORCEFUL"}


def _point(name: str) -> dict[str, Any]:
    addresses = [{"type": "IPV4", "numDynamicAddresses": 1}]
    data = {"layerProtocol": "IP_OVER_ETHERNET", "ipOverEthernet": {"ipAddresses": addresses}}
    return {"cpdId": name, "cpConfig": {name: {"cpProtocolData": [data]}}}
