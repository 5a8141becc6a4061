"""Direct calls of the SFC API, because openstacksdk does not return the numbers of chains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.tenant import Tenant

PLURALS = {
    "flow_classifier": "flow_classifiers",
    "port_pair": "port_pairs",
    "port_pair_group": "port_pair_groups",
    "port_chain": "port_chains",
    "service_graph": "service_graphs",
}
NOT_FOUND = 404


def create(tenant: Tenant, kind: str, **fields: Any) -> dict[str, Any]:
    """Create a resource and return its fields. Raises openstacksdk's exceptions."""
    answer = tenant.cloud.network.post(f"/sfc/{PLURALS[kind]}", json={kind: fields})
    return _checked(answer, kind)


def update(tenant: Tenant, kind: str, id: str, **fields: Any) -> dict[str, Any]:
    """Change a resource and return its fields. Raises openstacksdk's exceptions."""
    answer = tenant.cloud.network.put(f"/sfc/{PLURALS[kind]}/{id}", json={kind: fields})
    return _checked(answer, kind)


def delete(tenant: Tenant, kind: str, id: str) -> None:
    """Delete a resource if it exists. Raises openstacksdk's exceptions."""
    from openstack import exceptions

    answer = tenant.cloud.network.delete(f"/sfc/{PLURALS[kind]}/{id}")
    if answer.status_code != NOT_FOUND:
        exceptions.raise_from_response(answer)


def _checked(answer: Any, kind: str) -> dict[str, Any]:
    from openstack import exceptions

    exceptions.raise_from_response(answer)
    found: dict[str, Any] = answer.json()[kind]
    return found
