"""The existing cloud: which features it has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from keystoneauth1.exceptions import ConnectFailure

from pytest_kollalab.features.base import Feature
from pytest_kollalab.features.registry import resolve
from pytest_kollalab.sdn.tenant.tenant import Tenant
from pytest_kollalab.stages.cloud import external
from pytest_kollalab.system.errors import ConfigError, NeedsLabError


def cloud(services: str = "identity network", extensions: str = "router") -> Any:
    return SimpleNamespace(
        service_catalog=[{"type": name} for name in services.split()],
        network=SimpleNamespace(
            extensions=lambda: [SimpleNamespace(alias=name) for name in extensions.split()]
        ),
    )


def test_a_cloud_that_has_everything() -> None:
    full = cloud("identity network compute image placement", "sfc flow_classifier")
    assert external.lacking(full, resolve(["compute", "sfc"], "2026.1")) == {}


def test_it_says_what_is_lacking_for_each_feature() -> None:
    assert external.lacking(cloud(), resolve(["compute", "sfc"], "2026.1")) == {
        "compute": "no service compute",
        "sfc": "no network extension flow_classifier",
    }


def test_what_shows_on_nodes_alone_is_lacking() -> None:
    found = external.lacking(cloud(), [Feature("greeter", containers={"control": ("greeter",)})])
    assert found == {"greeter": "no nodes that it could be seen on"}


def test_a_cloud_that_does_not_answer_is_a_message() -> None:
    class Silent:
        config = SimpleNamespace(name="far")

        @property
        def service_catalog(self) -> None:
            raise ConnectFailure("Unable to establish connection\nand more")

    silent: Any = Silent()
    with pytest.raises(ConfigError, match="the cloud far cannot be used") as caught:
        external.lacking(silent, resolve([], "2026.1"))
    assert caught.value.details == "Unable to establish connection"


def test_a_tenant_without_nodes_says_so_before_it_makes_anything() -> None:
    tenant = Tenant(cloud(), "t", None, external_cidr=None)
    assert not tenant.has_nodes
    network: Any = None
    with pytest.raises(NeedsLabError, match="access to nodes"):
        tenant.probe(network)
    with pytest.raises(NeedsLabError, match="access to nodes"):
        tenant.outside()
