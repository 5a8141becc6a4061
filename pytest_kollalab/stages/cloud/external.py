"""The existing cloud: somebody else's, by its name in the user's clouds.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_kollalab.features import CORE
from pytest_kollalab.features.base import Feature
from pytest_kollalab.stages.cloud.clouds_yaml import auth_secrets
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

if TYPE_CHECKING:
    from openstack.connection import Connection


def connect(name: str) -> Connection:
    """A connection to the cloud of that name; files and variables are the user's own.

    Raises ConfigError when no clouds.yaml has it, naming the nearest.
    """
    import openstack.config
    import openstack.connection
    from openstack.exceptions import ConfigException

    try:
        loader = openstack.config.OpenStackConfig()
        names = loader.get_cloud_names()
        if name in names:
            return openstack.connection.Connection(config=loader.get_one(cloud=name))
    except ConfigException as error:
        raise ConfigError(
            f"the settings of the cloud {name!r} cannot be used",
            details=str(error),
            hint="mend its clouds.yaml; `openstack --os-cloud` complains about the same",
        ) from error
    raise ConfigError(
        f"there is no cloud {name!r}",
        details=f"clouds.yaml: {loader.config_filename or 'none was found'}",
        hint=nearest(name, names) if names else "name the file in OS_CLIENT_CONFIG_FILE",
    )


def secrets(name: str) -> tuple[str, ...]:
    """The passwords and tokens that a cloud is reached with; none when it is not known."""
    import openstack.config
    from openstack.exceptions import ConfigException

    try:
        auth = openstack.config.OpenStackConfig().get_one(cloud=name).config.get("auth", {})
    except ConfigException:
        return ()
    return tuple(auth_secrets(auth))


def lacking(connection: Connection, features: Iterable[Feature]) -> dict[str, str]:
    """Which of the features the cloud does not have, and what it lacks for each.

    Raises ConfigError when the cloud does not answer or does not let us in.
    """
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    try:
        offered = {str(service["type"]) for service in connection.service_catalog}
        loaded = {extension.alias for extension in connection.network.extensions()}
    except (ClientException, SDKException) as error:
        name = connection.config.name
        raise ConfigError(
            f"the cloud {name} cannot be used",
            details=str(error).partition("\n")[0],
            hint=f"see what `openstack --os-cloud {name} token issue` says",
        ) from error
    found = {feature.name: _lacks(feature, offered, loaded) for feature in features}
    return {name: why for name, why in found.items() if why}


def _lacks(feature: Feature, services: set[str], extensions: set[str]) -> str:
    if missing := sorted(set(feature.services) - services):
        return f"no service {missing[0]}"
    if missing := sorted(set(feature.extensions) - extensions):
        return f"no network extension {missing[0]}"
    if not feature.services and not feature.extensions and feature.name != CORE:
        # Nothing of it shows in the API: what it consists of lives on nodes.
        return "no nodes that it could be seen on"
    return ""
