"""The table of OpenStack releases with their pinned sources."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kollalab.system.errors import ConfigError

if TYPE_CHECKING:
    from pytest_kollalab.releases.patches import Patch

HERE = Path(str(resources.files("pytest_kollalab.releases")))
# What a release pins, in its folder.
TABLE = "release.toml"
# The folder of what several releases have in common.
SHARED = HERE / "shared"
OVERRIDES = "template-overrides.j2"
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
        tools_python: The oldest Python that Kolla, Kolla-Ansible and Ansible run with.
        as_of: The day of the release. Constraints are resolved with the packages of that day,
            except for the projects that are pinned here.
        sources: The sources of the images.
        buildkit: Whether kolla-build uses BuildKit unless told not to. It needs docker's plugin
            buildx, which not all hosts have.
        disabled: Sections of kolla-build's configuration for sources that are not used.
        stock: Apply no patches except those of Kolla's templates, which all builds need.
    """

    name: str
    suite: str
    python: str
    tools_python: str
    as_of: str
    sources: tuple[SourceArchive, ...]
    buildkit: bool = False
    disabled: tuple[str, ...] = ()
    stock: bool = False

    @property
    def data(self) -> Path:
        """The folder with the release's pins, patches, constraints, overlay and overrides."""
        return HERE / self.name

    @property
    def overrides(self) -> dict[str, Path]:
        """The files that override Kolla's templates, by their names in the recipe of images.

        Those that the releases have in common come first. They are the release's only ones if it
        has none of its own.
        """
        shared, own = SHARED / OVERRIDES, self.data / OVERRIDES
        return (
            {f"shared/{OVERRIDES}": shared, OVERRIDES: own}
            if own.is_file()
            else {OVERRIDES: shared}
        )

    def patches(self, of: str) -> list[Patch]:
        """The patches of a project or an image.

        Args:
            of: `kolla` for Kolla's templates, `kolla-ansible`, or the name of an image.
        """
        if self.stock and of != KOLLA:
            return []
        # Every session of pytest imports this module, so it imports patches only when needed.
        from pytest_kollalab.releases.patches import series

        return series(self.data / "patches" / of, SHARED / "patches" / of)

    @property
    def patched_images(self) -> tuple[str, ...]:
        """The images that have patches."""
        if self.stock:
            return ()
        found = (path.parent.name for path in (self.data / "patches").glob("*/series"))
        return tuple(sorted(name for name in found if name not in (KOLLA, KOLLA_ANSIBLE)))


def read(folder: Path) -> Release:
    """The release that a folder with a `release.toml` pins."""
    told = tomllib.loads((folder / TABLE).read_text(encoding="utf-8"))
    sources = tuple(
        SourceArchive(**{**row, "collections": tuple(row.get("collections", ()))})
        for row in told.pop("sources")
    )
    return Release(
        name=folder.name, sources=sources, disabled=tuple(told.pop("disabled", ())), **told
    )


# All releases, the oldest first.
RELEASES = {path.parent.name: read(path.parent) for path in sorted(HERE.glob(f"[0-9]*/{TABLE}"))}


def before(name: str) -> Release | None:
    """The release before the one of that name, or None if it is the first."""
    older = [each for each in RELEASES if each < name]
    return RELEASES[older[-1]] if older else None


def get(name: str, *, stock: bool = False) -> Release:
    """Return the release of that name.

    Args:
        name: The name of the release.
        stock: Whether to use it without patches.

    Raises:
        ConfigError: There is no such release. The hint names those that there are.
    """
    try:
        return replace(RELEASES[name], stock=stock)
    except KeyError:
        raise ConfigError(
            f"release {name!r} is not supported", hint=f"known: {', '.join(RELEASES)}"
        ) from None
