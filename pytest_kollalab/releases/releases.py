"""The table of OpenStack releases with their pinned sources."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

if TYPE_CHECKING:
    from pytest_kollalab.releases.patches import Patch

# The projects with patches, besides images.
KOLLA = "kolla"
KOLLA_ANSIBLE = "kolla-ansible"


@dataclass(frozen=True)
class SourceArchive:
    """A file that pip downloads: a source distribution, or a wheel of Ansible collections.

    Attributes:
        project: The name of the project.
        version: Its version.
        sha256: The hash of the file.
        section: The section of kolla-build's configuration that uses it. Empty for a wheel.
        collections: The Ansible collections to take from a wheel.
    """

    project: str
    version: str
    sha256: str
    section: str = ""
    collections: tuple[str, ...] = ()

    @property
    def wheel(self) -> bool:
        """Whether it is a wheel and not a source distribution."""
        return bool(self.collections)

    @property
    def filename(self) -> str:
        """The name of the file, as the project publishes it."""
        name = self.project.replace("-", "_")
        return f"{name}-{self.version}" + ("-py3-none-any.whl" if self.wheel else ".tar.gz")


@dataclass(frozen=True)
class Release:
    """One OpenStack release.

    Attributes:
        name: The name of the release, for example `2026.1`.
        suite: The Debian suite of the images.
        python: The version of Python in that suite.
        as_of: The day of the release. Constraints are resolved with the packages of that day,
            except for the projects that are pinned here.
        sources: The sources of the images.
        disabled: Sections of kolla-build's configuration for sources that are not used.
        stock: Apply no patches except those of Kolla's templates, which all builds need.
    """

    name: str
    suite: str
    python: str
    as_of: str
    sources: tuple[SourceArchive, ...]
    disabled: tuple[str, ...] = ()
    stock: bool = False

    @property
    def data(self) -> Path:
        """The folder with the release's overlay, overrides, patches and constraints."""
        return Path(str(resources.files("pytest_kollalab.releases"))) / self.name

    def patches(self, of: str) -> list[Patch]:
        """The patches of a project or an image.

        Args:
            of: `kolla` for Kolla's templates, `kolla-ansible`, or the name of an image.
        """
        if self.stock and of != KOLLA:
            return []
        # Every session of pytest imports this module, so it imports patches only when needed.
        from pytest_kollalab.releases.patches import series

        return series(self.data / "patches" / of)

    @property
    def patched_images(self) -> tuple[str, ...]:
        """The images that have patches."""
        if self.stock:
            return ()
        found = (path.parent.name for path in (self.data / "patches").glob("*/series"))
        return tuple(sorted(name for name in found if name not in (KOLLA, KOLLA_ANSIBLE)))


RELEASES = {
    "2026.1": Release(
        name="2026.1",
        suite="trixie",
        python="3.13",
        as_of="2026-04-10",
        sources=(
            SourceArchive(
                "keystone",
                "29.1.0",
                "9090a34976c48b518dec21d73260d3af76029c05bd40bfe2cb097dfd7d343bc1",
                section="keystone-base",
            ),
            SourceArchive(
                "glance",
                "32.0.0",
                "e92cce22edf09f573c7083cecb783f19b526a3be9bc34c4018e658962b9d98e5",
                section="glance-base",
            ),
            SourceArchive(
                "openstack-placement",
                "15.0.0",
                "b4825e2a37eef18d92a96aef089438327bce5e4580716a8478f0c1864b188800",
                section="placement-base",
            ),
            SourceArchive(
                "nova",
                "33.0.2",
                "84ab864ced8867f2989f3ba65ead61a7e39891ee7ea693850331636ac9d360ea",
                section="nova-base",
            ),
            SourceArchive(
                "neutron",
                "28.0.2",
                "cdaf45a2100de5233e4c1cc7c01c9df2b634510a0f0436913f73f29d42d325ee",
                section="neutron-base",
            ),
            SourceArchive(
                "networking-sfc",
                "22.0.0",
                "9ee3e174043af8472f3d68a006dc4281c7d5ecd4bd723a2cfd28fcf167f8f981",
                section="neutron-base-plugin-networking-sfc",
            ),
            SourceArchive(
                "networking-bgpvpn",
                "24.0.0",
                "27a5f4c6f6f756ca3102aa808a994b91b8b43b67965b03097ff3550af2270cc8",
                section="neutron-base-plugin-networking-bgpvpn",
            ),
            SourceArchive(
                "networking-bagpipe",
                "24.0.0",
                "2b19e093037ad68d91ca87fc5528a93a147e6c054ffcd30ef40dad3b8e38fc5d",
                section="neutron-base-plugin-networking-bagpipe",
            ),
            SourceArchive(
                "ansible",
                "12.3.0",
                "cd156f82fa87f7a899212b0efa9f7ca3a24d609212de9f78428a572eb01e5414",
                collections=(
                    "ansible.posix",
                    "community.general",
                    "community.mysql",
                    "community.rabbitmq",
                    "openstack.cloud",
                ),
            ),
            # The last version with this collection.
            SourceArchive(
                "ansible",
                "10.7.0",
                "0089f08e047ceb70edd011be009f5c6273add613fbe491e9697c0556c989d8ea",
                collections=("openvswitch.openvswitch",),
            ),
        ),
        disabled=(
            "mariadb-server-plugin-mariadb-docker",
            "neutron-base-plugin-networking-baremetal",
            "neutron-base-plugin-networking-generic-switch",
            "neutron-base-plugin-neutron-fwaas",
            "neutron-base-plugin-vpnaas-agent",
            "neutron-server-plugin-neutron-dynamic-routing",
            "nova-base-plugin-blazar",
        ),
    ),
}


def get(name: str, *, stock: bool = False) -> Release:
    """Return the release of that name.

    Args:
        name: The name of the release.
        stock: Whether to use it without patches.

    Raises:
        ConfigError: There is no such release. The hint names a similar one.
    """
    try:
        return replace(RELEASES[name], stock=stock)
    except KeyError:
        raise ConfigError(
            f"release {name!r} is not supported", hint=nearest(name, RELEASES)
        ) from None
