"""The existing cloud: which features it has."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from keystoneauth1.exceptions import ConnectFailure
from openstack.exceptions import ForbiddenException

from pytest_kollalab.features.base import Feature
from pytest_kollalab.features.registry import resolve
from pytest_kollalab.sdn.tenant import login
from pytest_kollalab.sdn.tenant.tenant import Tenant
from pytest_kollalab.stages.cloud import external
from pytest_kollalab.system.errors import ConfigError, NeedsAdminError, NeedsLabError

LOGINS = """
clouds:
  credential:
    auth_type: v3applicationcredential
    auth:
      auth_url: http://127.0.0.1:1/v3
      application_credential_id: "0815"
      application_credential_secret: of-the-credential
    region_name: RegionTwo
    interface: internal
    cacert: /etc/ours.pem
  token:
    auth_type: token
    auth: {auth_url: "http://127.0.0.1:1/v3", token: abcdefg, project_id: x}
  system:
    auth:
      auth_url: http://127.0.0.1:1/v3
      username: admin
      password: of-the-admin
      user_domain_id: other
      system_scope: all
  keyless:
    auth_type: none
    endpoint: http://127.0.0.1:1
  wrong:
    auth_type: v3oidcpassword
    auth:
      auth_url: http://127.0.0.1:1/v3
      discovery_endpoint: http://127.0.0.1:1
      client_id: a
      identity_provider: b
      protocol: c
      username: d
      password: of-nobody
"""


@pytest.fixture
def clouds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clouds.yaml").write_text(LOGINS)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))


@pytest.mark.usefixtures("clouds")
def test_an_unknown_cloud_names_the_file_and_its_clouds(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no cloud 'far-away'") as caught:
        external.connect("far-away")
    said = f"{tmp_path / 'clouds.yaml'} was read; clouds: credential, keyless, system, token, wrong"
    assert caught.value.details == said
    assert "OS_CLIENT_CONFIG_FILE" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        external.connect("tokn")
    assert caught.value.hint == "did you mean 'token'?"


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


@pytest.mark.parametrize("name", ["credential", "token", "system"])
def test_a_tenants_user_logs_in_whatever_its_administrator_logs_in_with(
    name: str, clouds: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = external.connect(name)
    # The administrator's variables are not the user's.
    monkeypatch.setenv("OS_PROJECT_ID", "not-this-one")
    monkeypatch.setenv("OS_TOKEN", "not-this-one")
    given = {"username": "u", "password": "of-the-user", "project_name": "p"}
    domains = {"user_domain_id": "default", "project_domain_id": "default"}
    user = login.as_user(admin, **given, **domains)
    url = {"auth_url": "http://127.0.0.1:1/v3"}
    assert user.config.config["auth"] == given | domains | url
    assert type(user.session.auth).__name__ == "Password"
    for setting in ("region_name", "interface", "cacert"):
        assert user.config.config[setting] == admin.config.config[setting]
    assert admin.config.config["auth"].get("username") in (None, "admin")
    assert login.is_fixed(admin) == (name == "credential")


def test_a_login_that_nobody_else_can_have_is_a_message(clouds: None) -> None:
    with pytest.raises(NeedsAdminError, match="the cloud keyless have no auth_url"):
        login.as_user(external.connect("keyless"), username="u")


def test_a_login_with_too_little_is_a_message(clouds: None) -> None:
    with pytest.raises(ConfigError, match="settings of the cloud 'wrong' cannot be used") as caught:
        external.connect("wrong")
    assert "client_secret" in str(caught.value.details)


@pytest.mark.parametrize(
    ("kind", "hint"),
    [("v3applicationcredential", "make the application credential"), ("password", "use such")],
)
def test_an_account_that_may_not_create_projects_is_told_what_it_needs(
    kind: str, hint: str
) -> None:
    def refuse(**_: object) -> None:
        raise ForbiddenException("You are not authorized\nat all")

    admin: Any = SimpleNamespace(
        config=SimpleNamespace(name="far", config={"auth_type": kind}),
        identity=SimpleNamespace(create_project=refuse),
    )
    with (
        pytest.raises(NeedsAdminError, match="cloud far may not create projects") as caught,
        Tenant(admin, "t", None, external_cidr=None),
    ):
        pass
    assert caught.value.details == "You are not authorized"
    assert hint in str(caught.value)
