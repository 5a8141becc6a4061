"""An existing cloud that is not a lab, by its name in the user's clouds.yaml."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_kollalab.features import CORE
from pytest_kollalab.features.base import Feature
from pytest_kollalab.sdn.services import offered
from pytest_kollalab.stages.cloud import clouds_yaml
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

if TYPE_CHECKING:
    from openstack.connection import Connection


def connect(name: str) -> Connection:
    """Connect to a cloud, using the user's own files and variables.

    Raises:
        ConfigError: There is no cloud of that name, or its settings cannot be used.
    """
    import openstack.config
    import openstack.connection

    try:
        loader = openstack.config.OpenStackConfig()
        names = loader.get_cloud_names()
        if name in names:
            return openstack.connection.Connection(config=loader.get_one(cloud=name))
    except clouds_yaml.unusable() as error:
        raise ConfigError(
            f"the settings of the cloud {name!r} cannot be used",
            details=str(error),
            hint="correct its clouds.yaml; `openstack --os-cloud` reports the same error",
        ) from error
    file = loader.config_filename
    listed = ", ".join(sorted(names)) or "none"
    raise ConfigError(
        f"there is no cloud {name!r}",
        details=f"{file} was read; clouds: {listed}" if file else "no clouds.yaml was found",
        hint=nearest(
            name, names, "name one of them, or another clouds.yaml in OS_CLIENT_CONFIG_FILE"
        )
        if names
        else "name your clouds.yaml in OS_CLIENT_CONFIG_FILE",
    )


def check(connection: Connection) -> None:
    """Log in. Raises ConfigError if the cloud does not answer, or refuses the login."""
    with _answering(connection):
        connection.authorize()


@contextmanager
def _answering(connection: Connection) -> Iterator[None]:
    """A block in which a cloud that does not answer, or refuses, is a ConfigError."""
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    try:
        yield
    except (ClientException, SDKException) as error:
        name = connection.config.name
        raise ConfigError(
            f"the cloud {name} cannot be used",
            details=str(error).partition("\n")[0],
            hint=f"see what `openstack --os-cloud {name} token issue` says",
        ) from error


def secrets(name: str) -> tuple[str, ...]:
    """The passwords and tokens in the settings of a cloud. Empty if the cloud is unknown."""
    import openstack.config

    try:
        auth = openstack.config.OpenStackConfig().get_one(cloud=name).config.get("auth", {})
    except clouds_yaml.unusable():
        return ()
    return tuple(clouds_yaml.auth_secrets(auth))


def lacking(connection: Connection, features: Iterable[Feature]) -> dict[str, str]:
    """The features that the cloud does not have, each with what is missing.

    Raises:
        ConfigError: The cloud does not answer, or refuses the login.
    """
    with _answering(connection):
        services = offered(connection)
        loaded = {extension.alias for extension in connection.network.extensions()}
    found = {feature.name: _lacks(feature, services, loaded) for feature in features}
    return {name: why for name, why in found.items() if why}


def _lacks(feature: Feature, services: Set[str], extensions: set[str]) -> str:
    if missing := sorted(set(feature.services) - services):
        return f"no service {missing[0]}"
    if missing := sorted(set(feature.extensions) - extensions):
        return f"no network extension {missing[0]}"
    if not feature.services and not feature.extensions and feature.name != CORE:
        # The API shows nothing of such a feature. It consists of programs on nodes.
        return "no nodes that it could be seen on"
    return ""
